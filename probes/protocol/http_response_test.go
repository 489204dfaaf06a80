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
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

// endless sends its start once and then its drop for ever, and counts what it has sent.
type endless struct {
	start, drop string
	at, sent    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.start)
	e.start = e.start[n:]
	for n < len(p) {
		part := copy(p[n:], e.drop[e.at:])
		e.at = (e.at + part) % len(e.drop)
		n += part
	}
	e.sent += n
	return n, nil
}

// TestResponseBytesAreBounded counts what is taken from an endpoint that never ends.
func TestResponseBytesAreBounded(t *testing.T) {
	for _, test := range []struct {
		name string
		endless
		head, body int
	}{
		{"body", endless{start: "HTTP/1.1 200 OK\r\n\r\n", drop: "A"}, 4 << 10, 64 << 10},
		{"chunks", endless{start: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drop: "1\r\nA\r\n"}, 4 << 10, 64 << 10},
		{"gzip", endless{start: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", drop: gzipped(strings.Repeat("A", 1<<20))}, 4 << 10, 64 << 10},
		{"empty gzip members", endless{start: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", drop: gzipped("")}, 4 << 10, 64 << 10},
		{"headers", endless{start: "HTTP/1.1 200 OK\r\n", drop: "A: b\r\n"}, maxHeadBytes, 0},
		{"interim", endless{drop: "HTTP/1.1 100 Continue\r\n\r\n"}, 16 << 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newResponseReader(&test.endless)
			defer r.release()
			response, err := r.readHead("GET")
			if test.sent > test.head {
				t.Errorf("%d bytes parsed as the head, more than %d", test.sent, test.head)
			}
			if test.body == 0 {
				if err == nil {
					t.Error("the head has come to an end")
				}
				return
			}
			body, err := r.readBody(response, DefaultMaxBodyBytes)
			if err != nil {
				t.Error(err)
			}
			if len(body) > DefaultMaxBodyBytes || test.sent > test.body {
				t.Errorf("%d bytes of body, %d taken in all", len(body), test.sent)
			}
		})
	}
}

// FuzzHTTPResponse: whatever an endpoint sends, the probe ends with a verdict on the
// endpoint. Nothing that it sends can make its probes count for nothing.
func FuzzHTTPResponse(f *testing.F) {
	for _, response := range []string{
		probetest.Well,
		"HTTP/1.1 100 Continue\r\n\r\n" + probetest.Well,
		"HTTP/1.0 200 OK\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzipped("ok"),
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n",
		"\x15\x03\x01\x00\x02\x02\x46",
		"",
	} {
		f.Add([]byte(response), true, false)
		f.Add([]byte(response), false, true)
	}
	responses := make(chan []byte, 2) // for a probe in a goroutine and one by the loop
	endpoint := probetest.Serve(f, probetest.Closing(func(conn net.Conn) {
		probetest.ReadRequest(conn)
		_, _ = conn.Write(<-responses)
	}))
	f.Fuzz(func(t *testing.T, response []byte, wantBody, head bool) {
		settings := HTTPSettings{}
		switch {
		case wantBody:
			settings.ExpectedBody = regexp.MustCompile("ok")
		case head:
			settings.Method = "HEAD"
		}
		def := at(endpoint, "http://")
		def.HTTP = &settings
		responses <- response
		if !wantBody {
			responses <- response
		}
		switch result := result(t, def, 5*time.Second); {
		case result.Outcome == probes.Unknown:
			t.Errorf("got %+v", result)
		case result.Outcome == probes.Failure && result.Message() == "":
			t.Errorf("got %+v, which says nothing", result)
		}
	})
}

// FuzzResponseReader feeds the parser without a network in between, and thus faster.
func FuzzResponseReader(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET")
	f.Add("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+gzipped("ok"), "GET")
	f.Fuzz(func(t *testing.T, response, method string) {
		r := newResponseReader(strings.NewReader(response))
		defer r.release()
		head, err := r.readHead(method)
		if err != nil {
			return
		}
		if head.StatusCode < 101 || head.StatusCode > 999 {
			t.Errorf("status %d", head.StatusCode)
		}
		if body, _ := r.readBody(head, 1<<10); len(body) > 1<<10 {
			t.Errorf("%d bytes of body", len(body))
		}
	})
}

// BenchmarkReadHead parses a response of the usual size.
func BenchmarkReadHead(b *testing.B) {
	const response = "HTTP/1.1 200 OK\r\nServer: test\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n" +
		"Content-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
	b.ReportAllocs()
	for b.Loop() {
		r := newResponseReader(strings.NewReader(response))
		if answer, err := r.readHead("GET"); err != nil || answer.StatusCode != 200 {
			b.Fatal(answer, err)
		}
		r.release()
	}
}
