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

package probetest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// Well is a response that nobody can object to.
const Well = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

const (
	// Ample is a timeout that no probe of these tests needs, except for failing.
	Ample = 20 * time.Second
	// Brief is the timeout of probes that run into it.
	Brief = 150 * time.Millisecond
)

// Serve hands every connection to talk and closes it afterwards. At the end of the
// test it fails the test if a prober has not closed its side.
func Serve(t testing.TB, handler func(net.Conn)) netip.AddrPort {
	t.Helper()
	return ServeOn(t, "127.0.0.1:0", handler)
}

// ServeOn is Serve on a given address.
func ServeOn(t testing.TB, address string, handler func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// Past all of a test's own deadlines: what still hangs then is a leak.
			_ = conn.SetDeadline(time.Now().Add(2 * Ample))
			talks.Go(func() {
				defer conn.Close()
				handler(conn)
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the prober left the connection from %s open", conn.RemoteAddr())
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		talks.Wait()
	})
	return AddrOf(listener)
}

// AddrOf returns the address that a listener listens on.
func AddrOf(listener net.Listener) netip.AddrPort {
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// Closing ends the sending side once talk is done, and what comes is still read.
func Closing(handler func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		handler(conn)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}
}

// Aborting ends the connection with a RST.
func Aborting(handler func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		handler(conn)
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// Silence reads what comes and says nothing.
func Silence(net.Conn) {}

// ReadRequest reads up to the empty line that ends a request.
func ReadRequest(conn net.Conn) string {
	var request []byte
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadSlice('\n')
		request = append(request, line...)
		if err != nil || string(line) == "\r\n" {
			return string(request)
		}
	}
}

// Responding reads a request and sends the bytes.
func Responding(response string) func(net.Conn) {
	return func(conn net.Conn) {
		ReadRequest(conn)
		_, _ = io.WriteString(conn, response)
	}
}

// Dripping reads a request and drips.
func Dripping(start, drop string) func(net.Conn) {
	return func(conn net.Conn) {
		ReadRequest(conn)
		Drip(conn, start, drop)
	}
}

// Drip sends the drop again and again, slowly, for as long as somebody is there.
func Drip(conn net.Conn, start, drop string) {
	_, err := io.WriteString(conn, start)
	for err == nil {
		time.Sleep(time.Millisecond)
		_, err = io.WriteString(conn, drop)
	}
}

// Flooding sends the bytes again and again, for as long as somebody is there.
func Flooding(start, flood string) func(net.Conn) {
	drops := []byte(flood)
	return func(conn net.Conn) {
		ReadRequest(conn)
		_, err := io.WriteString(conn, start)
		for err == nil {
			_, err = conn.Write(drops)
		}
	}
}

// Refusing returns a place where nothing listens.
func Refusing(t testing.TB) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return AddrOf(listener)
}

// Unvisited returns a listener, and fails the test if anybody has connected to it.
func Unvisited(t testing.TB) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer listener.Close()
		// The kernel takes connections without our asking: one would be there by now.
		_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
		if conn, err := listener.Accept(); err == nil {
			t.Errorf("the prober connected from %s to where it must not", conn.RemoteAddr())
			conn.Close()
		}
	})
	return AddrOf(listener)
}

// Eventually polls until the test holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Ample); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Ipv6Loopback returns a place to listen on ::1, or on 127.0.0.1 where the host has
// no IPv6: the test then says less, but something.
func Ipv6Loopback(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here (%v): tested with IPv4", err)
		return "127.0.0.1:0"
	}
	listener.Close()
	return "[::1]:0"
}
