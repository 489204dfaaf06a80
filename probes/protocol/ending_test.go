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

package protocol

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

// pause is what the servers of these tests do between two writes: long enough for a probe to
// be gone that does not wait for the second.
func pause() { time.Sleep(30 * time.Millisecond) }

// waitsForEnd is shorter than a probe waits for the rest of what a server sends. It says nothing
// about the probe how the connection of a server ends that a busy machine has held up for longer.
const waitsForEnd = 200 * time.Millisecond

// watchEnd has the server make an exchange, and expects the connection to end by a FIN.
func watchEnd(t *testing.T, exchange func(net.Conn) error) func(net.Conn) {
	return func(conn net.Conn) {
		start := time.Now()
		err := exchange(conn)
		took := time.Since(start)
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		switch {
		case err == nil:
		case took > waitsForEnd:
			t.Logf("the server took %v and saw %v", took, err)
		default:
			t.Errorf("the server saw %v", err)
		}
	}
}

// writes sends pieces with pauses in between.
func writes(pieces ...string) func(net.Conn) error {
	return func(conn net.Conn) error {
		for i, piece := range pieces {
			if i > 0 {
				pause()
			}
			if _, err := io.WriteString(conn, piece); err != nil {
				return err
			}
		}
		return nil
	}
}

// answersIn reads a request and sends pieces with pauses in between.
func answersIn(pieces ...string) func(net.Conn) error {
	return func(conn net.Conn) error {
		probetest.ReadRequest(conn)
		return writes(pieces...)(conn)
	}
}

// closingFirst has the server close its side once it has said all.
func closingFirst(exchange func(net.Conn) error) func(net.Conn) error {
	return func(conn net.Conn) error {
		err := exchange(conn)
		if err == nil {
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		return err
	}
}

func TestTCPProbe_Ending_IsNoReset(t *testing.T) {
	quiet := func(net.Conn) error { return nil }
	for _, test := range []struct {
		name     string
		exchange func(net.Conn) error
		settings TCPSettings
	}{
		{"nothing said", quiet, TCPSettings{}},
		{"banner at once", writes("SSH-2.0-OpenSSH_9.6\r\n"), TCPSettings{}},
		{"banner in two pieces", writes("220 mail", " ready\r\n"), TCPSettings{}},
		{"banner of 10 KB", writes(strings.Repeat("-", 10_000)), TCPSettings{}},
		{"banner expected", writes("220 mail", " ready\r\n"), TCPSettings{Steps: []Step{{Expect: []byte("220")}}}},
		{"banner of 60 KB expected", writes("220-" + strings.Repeat("-", 60_000)), TCPSettings{Steps: []Step{{Expect: []byte("220")}}}},
		{"question only", answersIn("+PONG\r\n", "+PONG\r\n"), TCPSettings{Steps: []Step{{Send: []byte("PING\r\n\r\n")}}}},
		{"question and answer", answersIn("+PONG\r\n", "+PONG\r\n"), TCPSettings{Steps: []Step{{Send: []byte("PING\r\n\r\n")}, {Expect: []byte("PONG")}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := probetest.Serve(t, watchEnd(t, test.exchange))
			for _, url := range []string{"tcp://", "tcp:// proxyProtocol=V1"} {
				if strings.Contains(url, "proxy") && strings.HasPrefix(test.name, "question") {
					continue // the server is none for that
				}
				def := at(endpoint, url)
				def.TCP = &test.settings
				if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
					t.Errorf("%s: got %+v", url, got)
				}
			}
		})
	}
}

func TestHTTPProbe_BodyBehindTheHead_IsReadBeforeTheEnd(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	big := strings.Repeat("A", 30_000)
	for name, exchange := range map[string]func(net.Conn) error{
		"body of a length":            answersIn(ok+"Content-Length: 2\r\n\r\n", "o", "k"),
		"long body of a length":       answersIn(ok+"Content-Length: 60000\r\n\r\n", big, big),
		"long body at once":           answersIn(ok + "Content-Length: 60000\r\n\r\n" + big + big),
		"body in chunks":              closingFirst(answersIn(ok+"Transfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n", "0\r\n\r\n")),
		"chunks at once":              answersIn(ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
		"body of no length":           closingFirst(answersIn(ok+"\r\n", "o", "k")),
		"body of lengths that differ": closingFirst(answersIn(ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "o", "k")),
		"status that is unexpected":   answersIn("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n", "o", "k"),
		"head in pieces":              answersIn(ok, "Content-Length: 2\r\n", "\r\n", "ok"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := probes.SuccessResult()
			if strings.Contains(name, "unexpected") {
				want = httpStatus(503)
			}
			if got := result(t, at(probetest.Serve(t, watchEnd(t, exchange)), "http://"), probetest.Ample); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			ca := probetest.NewAuthority(t)
			encrypted := probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, watchEnd(t, exchange)))
			def := at(encrypted, "https://")
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			if got := result(t, def, probetest.Ample); got != want {
				t.Errorf("over TLS: got %+v, want %+v", got, want)
			}
		})
	}
}

// TestHTTPProbe_OfAHandlerThatFlushes_LetsItFinish also sees to the contexts of requests, which
// net/http ends when a client is gone.
func TestHTTPProbe_OfAHandlerThatFlushes_LetsItFinish(t *testing.T) {
	handled := make(chan error, 10)
	plaintext, encrypted, trust := speakingBoth(t, func(w http.ResponseWriter, r *http.Request) {
		err := http.NewResponseController(w).Flush()
		pause()
		if err == nil {
			_, err = io.WriteString(w, strings.Repeat("fine ", 2000))
		}
		handled <- errors.Join(err, r.Context().Err())
	})
	for url, addr := range map[string]netip.AddrPort{
		"http:///": plaintext, "http:/// version=HTTP2": plaintext, "https:///": encrypted, "https:/// version=HTTP2": encrypted,
	} {
		for _, expected := range []*regexp.Regexp{nil, regexp.MustCompile("^(fine )+$")} {
			def := at(addr, url)
			def.TLS, def.HTTP = trust, &HTTPSettings{ExpectedBody: expected}
			if got := probeOnce(t, prepare(t, def), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("%s: got %+v", url, got)
			}
			if err := <-handled; err != nil {
				t.Errorf("%s: the handler saw %v", url, err)
			}
		}
	}
}

func TestHTTPProbe_BodyWithoutEnd_DelaysTheVerdictLittle(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, exchange := range map[string]func(net.Conn){
		"silent after the head":   probetest.Responding(ok + "Content-Length: 10000000000\r\n\r\n"),
		"drips":                   probetest.Dripping(ok+"\r\n", "a"),
		"drips chunks":            probetest.Dripping(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
		"floods, of 10 GB":        probetest.Flooding(ok+"Content-Length: 10000000000\r\n\r\n", strings.Repeat("A", 1<<16)),
		"floods":                  probetest.Flooding(ok+"\r\n", strings.Repeat("A", 1<<16)),
		"whole, but never closes": probetest.Responding(probetest.Well),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if got := probeOnce(t, prepare(t, at(probetest.Serve(t, exchange), "http://")), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
			if took := time.Since(start); took > probetest.Ample/2 {
				t.Errorf("the verdict took %v", took)
			}
			if got := probeByScheduler(t, prepare(t, at(probetest.Serve(t, exchange), "http://")), probetest.Brief); got != probes.SuccessResult() {
				t.Errorf("by the loop: got %+v", got)
			}
		})
	}
}

// TestHTTPProbe_OfNginx_LeavesNoErrorInItsLog looks at what nginx logs of clients that are gone
// before the end of a response.
func TestHTTPProbe_OfNginx_LeavesNoErrorInItsLog(t *testing.T) {
	addr := probetest.Refusing(t)
	origin := probetest.Serve(t, func(conn net.Conn) { _ = closingFirst(answersIn("HTTP/1.0 200 OK\r\n\r\nslow", " body"))(conn) })
	nginx := servers.NewNginx(t)
	file := nginx.File(strings.Repeat("A", 50_000))
	nginx.Serve(addr, fmt.Sprintf(`
	error_log stderr info;
	server {
		listen %s;
		location = /file { alias %s; }
		location = /return { return 200 "ok"; }
		location / { proxy_pass http://%s; proxy_buffering off; }
	}`, addr, file, origin))
	for _, path := range []string{"/file", "/return", "/proxied"} {
		for range 5 {
			if got := result(t, at(addr, "http://"+path), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("%s: got %+v", path, got)
			}
		}
	}
	if got := result(t, at(addr, "tcp://"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	for line := range strings.Lines(nginx.Log()) {
		if strings.Contains(line, "reset") || strings.Contains(line, "prematurely") || strings.Contains(line, "ailed (") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
