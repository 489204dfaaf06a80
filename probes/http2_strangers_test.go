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

package probes

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// hostile2 begins an answer and goes on with one kind of frame until nobody is there.
func hostile2(headed bool, write func(*http2.Framer) error) func(net.Conn) {
	return frames(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		if headed {
			headers(framer, false, ":status", "200")
		}
		for err := error(nil); err == nil; {
			err = write(framer)
		}
	})
}

// TestHTTP2ProbeOfHostileServers also checks, by probe and serve, that the probe is over at
// its timeout and the connection closed.
func TestHTTP2ProbeOfHostileServers(t *testing.T) {
	data := func(framer *http2.Framer) error { return framer.WriteData(1, false, make([]byte, 1<<14)) }
	slowly := func(write func(*http2.Framer) error) func(*http2.Framer) error {
		return func(framer *http2.Framer) error {
			time.Sleep(time.Millisecond)
			return write(framer)
		}
	}
	end := func(headed bool, write func(*http2.Framer)) func(net.Conn) {
		return frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			if headed {
				headers(framer, false, ":status", "200")
				_ = framer.WriteData(1, false, []byte("healthy"))
			}
			write(framer)
		})
	}
	continued := frames(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		for err == nil {
			err = framer.WriteContinuation(1, false, nil)
		}
	})
	const closed, protocol = ReasonConnectionClosed, ReasonProtocol
	for _, test := range []struct {
		name    string
		talk    func(net.Conn)
		timeout time.Duration
		want    Result
		// wantBody is what a probe says that wants the body as well.
		wantBody Result
	}{
		{"silent", silence, brief, FailureResult(ReasonTimeout), FailureResult(ReasonTimeout)},
		{"closes at once", closing(silence), ample, FailureResult(closed), FailureResult(closed)},
		{"resets", aborting(silence), ample, FailureResult(closed), FailureResult(closed)},
		{"HTTP/1.1", func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, ample, FailureResult(protocol), FailureResult(protocol)},
		{"mail", func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail ready\r\n") }, ample, FailureResult(protocol), FailureResult(protocol)},
		{"GOAWAY", end(false, func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }), ample, FailureResult(closed), FailureResult(closed)},
		{"GOAWAY with another stream", end(false, func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("s3cret")) }), ample, FailureResult(closed), FailureResult(closed)},
		{"RST_STREAM", end(false, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeInternal) }), ample, FailureResult(closed), FailureResult(closed)},
		{"RST_STREAM for HTTP/1.1", end(false, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeHTTP11Required) }), ample, FailureResult(protocol), FailureResult(protocol)},
		{"RST_STREAM in the body", end(true, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeInternal) }), ample, SuccessResult(), FailureResult(closed)},
		{"end in the body", closing(end(true, func(*http2.Framer) {})), ample, SuccessResult(), FailureResult(closed)},
		{"trailers without an end", end(true, func(f *http2.Framer) { headers(f, false, "a", "b") }), ample, SuccessResult(), FailureResult(protocol)},
		{"another stream", end(true, func(f *http2.Framer) { _ = f.WriteData(3, true, nil) }), ample, SuccessResult(), FailureResult(protocol)},
		{"data without headers", end(false, func(f *http2.Framer) { _ = f.WriteData(1, true, []byte("healthy")) }), ample, FailureResult(protocol), FailureResult(protocol)},
		{"endless pings", hostile2(false, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }), ample, FailureResult(protocol), FailureResult(protocol)},
		{"endless pings in the body", hostile2(true, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }), ample, SuccessResult(), FailureResult(ReasonContent)},
		{"endless settings", hostile2(false, func(f *http2.Framer) error { return f.WriteSettings() }), ample, FailureResult(protocol), FailureResult(protocol)},
		{"endless window updates", hostile2(false, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }), ample, FailureResult(protocol), FailureResult(protocol)},
		{"endless interim headers", hostile2(false, func(f *http2.Framer) error {
			headers(f, false, ":status", "102")
			return f.WriteWindowUpdate(0, 1)
		}), ample, FailureResult(protocol), FailureResult(protocol)},
		{"endless empty continuations", continued, ample, FailureResult(protocol), FailureResult(protocol)},
		{"huge headers", answering2([]string{":status", "200", "a", strings.Repeat("b", maxHeadBytes)}), ample, SuccessResult(), FailureResult(ReasonContent)},
		{"huge frame", func(conn net.Conn) { drip(conn, "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "\x00") }, ample, FailureResult(protocol), FailureResult(protocol)},
		{"slow headers", frames(func(f *http2.Framer) {
			_ = f.WriteSettings()
			for err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1}); err == nil; time.Sleep(time.Millisecond) {
				err = f.WriteContinuation(1, false, nil)
			}
		}), brief, FailureResult(ReasonTimeout), FailureResult(ReasonTimeout)},
		{"slow body", hostile2(true, slowly(func(f *http2.Framer) error { return f.WriteData(1, false, []byte("a")) })), brief, SuccessResult(), FailureResult(ReasonTimeout)},
		{"endless body", hostile2(true, data), ample, SuccessResult(), FailureResult(ReasonContent)},
		{"endless empty data", hostile2(true, func(f *http2.Framer) error { return f.WriteData(1, false, nil) }), ample, SuccessResult(), FailureResult(ReasonContent)},
		{"gzip bomb", frames(func(f *http2.Framer) {
			_ = f.WriteSettings()
			headers(f, false, ":status", "200", "content-encoding", "gzip")
			bomb := gzipped(strings.Repeat("A", 1<<24))
			for len(bomb) > 0 {
				n := min(len(bomb), 1<<14)
				_ = f.WriteData(1, false, []byte(bomb[:n]))
				bomb = bomb[n:]
			}
		}), ample, SuccessResult(), FailureResult(ReasonContent)},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := serve(t, test.talk)
			if got := result(t, over2(place, ""), test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got := result(t, over2(place, "^healthy$"), test.timeout); got != test.wantBody {
				t.Errorf("wanting the body: got %+v, want %+v", got, test.wantBody)
			}
		})
	}
}

func TestHTTP2ProbeMemoryIsBounded(t *testing.T) {
	many := []string{":status", "200"}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("a%d", i), "")
	}
	for name, talk := range map[string]func(net.Conn){
		"endless body": hostile2(true, func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1<<10)) }),
		"pings":        hostile2(true, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }),
		"header names": answering2(many),
	} {
		t.Run(name, func(t *testing.T) {
			testMemoryIsBounded(t, over2(serve(t, talk), "healthy"))
		})
	}
}

// FuzzHTTP2Answer: whatever an endpoint sends, reading it ends without a panic and with a
// verdict on the endpoint, and what is read is bounded.
func FuzzHTTP2Answer(f *testing.F) {
	add := func(talk func(*http2.Framer)) {
		var answer bytes.Buffer
		talk(http2.NewFramer(&answer, nil))
		f.Add(answer.Bytes(), true)
		f.Add(answer.Bytes(), false)
	}
	add(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		headers(framer, false, ":status", "103")
		headers(framer, false, ":status", "200", "content-encoding", "gzip")
		_ = framer.WriteData(1, false, []byte(gzipped("ok")))
		_ = framer.WriteGoAway(1, http2.ErrCodeNo, nil)
		headers(framer, true, "a", "b")
	})
	add(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		headers(framer, true, ":status", "302", "location", "/")
	})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false)
	endless := strings.Repeat("\x00\x00\x01\x00\x00\x00\x00\x00\x01A", 20_000)
	f.Fuzz(func(t *testing.T, answer []byte, wantBody bool) {
		p := &httpProber{settings: &HTTPSettings{}}
		most := maxHTTP2Bytes + maxLingerBytes + maxFramingBytes
		if wantBody {
			p.settings.ExpectedBody = regexp.MustCompile("ok")
			most += DefaultMaxBodyBytes + maxFramingBytes
		}
		from := strings.NewReader(string(answer) + endless)
		said, err := p.receiveHTTP2(struct {
			io.Reader
			io.Writer
		}{from, io.Discard}, func() {})
		verdict := p.verdict(said)
		if err != nil {
			verdict = classify(t.Context(), err)
		}
		if verdict.Outcome == Unknown {
			t.Errorf("%q: got %+v", answer, verdict)
		}
		if read := int(from.Size()) - from.Len(); read > most {
			t.Errorf("%d bytes were read, more than %d", read, most)
		}
	})
}
