//go:build linux

/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// The backend is what stands on a host outside the cluster: it answers HTTP over TCP, and on
// the same port questions of DNS and other datagrams, these with themselves. It follows
// commands on stdin and prints on stdout, in a line each, who has connected.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// behaviour is how requests are answered. A line of stdin sets it.
type behaviour struct {
	// Status of every response; 0 is 200. Datagrams are answered with 200 only.
	Status int
	// Delay before every response.
	Delay time.Duration
	// FailEvery health check so many is answered with 503, whatever Status says; 0 for none.
	// Health checks are all that does not ask for something below /requests/.
	FailEvery int64
	// Certificate and Key are shown over TLS from now on, in PEM; if they are left out, what
	// was shown so far.
	Certificate, Key string `json:",omitempty"`
}

// event is a line of stdout.
type event struct {
	// At is when, in nanoseconds of Unix time.
	At int64
	// From is the address that a connection came from, To the one that it came to; empty
	// once, when the backend is ready.
	From, To string `json:",omitempty"`
	// Applied repeats the behaviour that is in force from now on.
	Applied *behaviour `json:",omitempty"`
}

type backend struct {
	name    string
	current atomic.Pointer[behaviour]
	// certificate is what is shown over TLS.
	certificate atomic.Pointer[tls.Certificate]
	// checks counts the health checks.
	checks atomic.Int64

	// mu guards stdout.
	mu sync.Mutex
}

func main() {
	address := flag.String("listen", ":8080", "address to listen at")
	name := flag.String("name", "backend", "what to answer")
	secure := flag.Bool("tls", false, "speak HTTPS, by the certificate that stdin says")
	flag.Parse()
	served := &backend{name: *name}
	served.current.Store(&behaviour{})
	if err := served.serve(*address, *secure); err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

func (b *backend) serve(address string, secure bool) error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	datagrams, err := config.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- b.echo(datagrams) }()
	go func() { failed <- b.listen() }()
	server := &http.Server{
		Handler:           b,
		ReadHeaderTimeout: 10 * time.Second,
		ConnState: func(connection net.Conn, state http.ConnState) {
			if state == http.StateNew {
				b.emit(event{From: hostOf(connection.RemoteAddr()), To: hostOf(connection.LocalAddr())})
			}
		},
	}
	if secure {
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion:             tls.VersionTLS12,
			SessionTicketsDisabled: true, // each probe is to see the certificate
			GetCertificate:         b.present,
		})
	}
	go func() { failed <- server.Serve(listener) }()
	b.emit(event{})
	return <-failed
}

func (b *backend) present(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if certificate := b.certificate.Load(); certificate != nil {
		return certificate, nil
	}
	return nil, errors.New("there is no certificate yet")
}

func hostOf(address net.Addr) string {
	host, _, _ := net.SplitHostPort(address.String())
	return host
}

// ServeHTTP answers with the backend's name.
func (b *backend) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/stream" {
		b.stream(response, request)
		return
	}
	now := b.current.Load()
	if !wait(request.Context(), now.Delay) {
		return
	}
	response.Header().Set("Backend", b.name)
	if !strings.HasPrefix(request.URL.Path, "/requests/") && now.FailEvery > 0 && b.checks.Add(1)%now.FailEvery == 0 {
		response.WriteHeader(http.StatusServiceUnavailable)
	} else if now.Status != 0 {
		response.WriteHeader(now.Status)
	}
	fmt.Fprintln(response, b.name)
}

// stream sends a line now and then for as long as the client stays.
func (b *backend) stream(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Backend", b.name)
	flush := http.NewResponseController(response)
	for wait(request.Context(), 50*time.Millisecond) {
		fmt.Fprintln(response, b.name)
		if flush.Flush() != nil {
			return
		}
	}
}

// wait returns false if the client has gone first.
func wait(ctx context.Context, delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(delay):
		return true
	}
}

// echo sends datagrams back, after the backend's name, but answers questions of DNS.
func (b *backend) echo(datagrams net.PacketConn) error {
	buffer := make([]byte, 1500)
	for {
		length, from, err := datagrams.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if now := b.current.Load(); now.Status != 0 || now.Delay != 0 {
			continue
		}
		answer, ok := resolve(buffer[:length])
		if !ok {
			answer = []byte(b.name + " " + string(buffer[:length]))
		}
		// The client asks again if this is lost.
		_, _ = datagrams.WriteTo(answer, from)
	}
}

// resolve answers a question of DNS, whatever it is, with an address; false if it is none.
func resolve(question []byte) (answer []byte, ok bool) {
	var message dnsmessage.Message
	if message.Unpack(question) != nil || len(message.Questions) != 1 {
		return nil, false
	}
	message.Response, message.RCode, message.Additionals = true, dnsmessage.RCodeSuccess, nil
	message.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1},
		Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}},
	}}
	answer, err := message.Pack()
	return answer, err == nil
}

// listen follows the commands on stdin.
func (b *backend) listen() error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var next behaviour
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			return err
		}
		if next.Certificate != "" {
			certificate, err := tls.X509KeyPair([]byte(next.Certificate), []byte(next.Key))
			if err != nil {
				return err
			}
			b.certificate.Store(&certificate)
			next.Certificate, next.Key = "", ""
		}
		b.current.Store(&next)
		b.emit(event{Applied: &next})
	}
	return errors.Join(lines.Err(), errors.New("nobody is left to say what to do"))
}

func (b *backend) emit(what event) {
	what.At = time.Now().UnixNano()
	line, err := json.Marshal(what)
	if err != nil {
		panic(err) // it holds nothing that cannot be encoded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// A reader that is gone shows on stdin.
	_, _ = os.Stdout.Write(append(line, '\n'))
}
