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
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
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

type hostileCase struct {
	name     string
	exchange func(net.Conn)
	timeout  time.Duration
	want     probes.Result
	// wantBody is the result of a probe that wants the body as well.
	wantBody probes.Result
}

// checkHostile also checks, by result and probetest.Serve, that the probe is over at its timeout and the
// connection closed.
func checkHostile(t *testing.T, cases []hostileCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			addr := probetest.Serve(t, test.exchange)
			if got := result(t, over2(addr, ""), test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got := result(t, over2(addr, "^healthy$"), test.timeout); got != test.wantBody {
				t.Errorf("wanting the body: got %+v, want %+v", got, test.wantBody)
			}
		})
	}
}

// answeringUntil is an exchange that begins as usual, with a part of the response if headed, and
// ends by what write writes.
func answeringUntil(headed bool, write func(*http2.Framer)) func(net.Conn) {
	return frames(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		if headed {
			headers(framer, false, ":status", "200")
			_ = framer.WriteData(1, false, []byte("healthy"))
		}
		write(framer)
	})
}

func TestHTTP2Probe_ServerBreaksOff_Fails(t *testing.T) {
	const closed, protocol = probes.ReasonConnectionClosed, probes.ReasonProtocol
	checkHostile(t, []hostileCase{
		{"silent", probetest.Silence, probetest.Brief, probes.FailureResult(probes.ReasonTimeout), probes.FailureResult(probes.ReasonTimeout)},
		{"closes at once", probetest.Closing(probetest.Silence), probetest.Ample, probes.FailureResult(closed), probes.FailureResult(closed)},
		{"resets", probetest.Aborting(probetest.Silence), probetest.Ample, probes.FailureResult(closed), probes.FailureResult(closed)},
		{"HTTP/1.1", func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"mail", func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail ready\r\n") }, probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"GOAWAY", answeringUntil(false, func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }), probetest.Ample, probes.FailureResult(closed), probes.FailureResult(closed)},
		{"GOAWAY with another stream", answeringUntil(false, func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("s3cret")) }), probetest.Ample, probes.FailureResult(closed), probes.FailureResult(closed)},
		{"RST_STREAM", answeringUntil(false, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeInternal) }), probetest.Ample, probes.FailureResult(closed), probes.FailureResult(closed)},
		{"RST_STREAM for HTTP/1.1", answeringUntil(false, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeHTTP11Required) }), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"RST_STREAM in the body", answeringUntil(true, func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeInternal) }), probetest.Ample, probes.SuccessResult(), probes.FailureResult(closed)},
		{"end in the body", probetest.Closing(answeringUntil(true, func(*http2.Framer) {})), probetest.Ample, probes.SuccessResult(), probes.FailureResult(closed)},
		{"trailers without an end", answeringUntil(true, func(f *http2.Framer) { headers(f, false, "a", "b") }), probetest.Ample, probes.SuccessResult(), probes.FailureResult(protocol)},
		{"another stream", answeringUntil(true, func(f *http2.Framer) { _ = f.WriteData(3, true, nil) }), probetest.Ample, probes.SuccessResult(), probes.FailureResult(protocol)},
		{"data without headers", answeringUntil(false, func(f *http2.Framer) { _ = f.WriteData(1, true, []byte("healthy")) }), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
	})
}

func TestHTTP2Probe_EndlessFrames_AreBounded(t *testing.T) {
	const protocol = probes.ReasonProtocol
	checkHostile(t, []hostileCase{
		{"endless pings", hostile2(false, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"endless pings in the body", hostile2(true, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless settings", hostile2(false, func(f *http2.Framer) error { return f.WriteSettings() }), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"endless window updates", hostile2(false, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"endless interim headers", hostile2(false, func(f *http2.Framer) error {
			headers(f, false, ":status", "102")
			return f.WriteWindowUpdate(0, 1)
		}), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"endless empty continuations", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for err == nil {
				err = framer.WriteContinuation(1, false, nil)
			}
		}), probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
		{"huge headers", answering2([]string{":status", "200", "a", strings.Repeat("b", maxHeadBytes)}), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"huge frame", func(conn net.Conn) { probetest.Drip(conn, "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "\x00") }, probetest.Ample, probes.FailureResult(protocol), probes.FailureResult(protocol)},
	})
}

func TestHTTP2Probe_SlowOrEndlessBody_IsBounded(t *testing.T) {
	data := func(framer *http2.Framer) error { return framer.WriteData(1, false, make([]byte, 1<<14)) }
	slowly := func(write func(*http2.Framer) error) func(*http2.Framer) error {
		return func(framer *http2.Framer) error {
			time.Sleep(time.Millisecond)
			return write(framer)
		}
	}
	checkHostile(t, []hostileCase{
		{"slow headers", frames(func(f *http2.Framer) {
			_ = f.WriteSettings()
			for err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1}); err == nil; time.Sleep(time.Millisecond) {
				err = f.WriteContinuation(1, false, nil)
			}
		}), probetest.Brief, probes.FailureResult(probes.ReasonTimeout), probes.FailureResult(probes.ReasonTimeout)},
		{"slow body", hostile2(true, slowly(func(f *http2.Framer) error { return f.WriteData(1, false, []byte("a")) })), probetest.Brief, probes.SuccessResult(), probes.FailureResult(probes.ReasonTimeout)},
		{"endless body", hostile2(true, data), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"endless empty data", hostile2(true, func(f *http2.Framer) error { return f.WriteData(1, false, nil) }), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
		{"gzip bomb", frames(func(f *http2.Framer) {
			_ = f.WriteSettings()
			headers(f, false, ":status", "200", "content-encoding", "gzip")
			bomb := gzipped(strings.Repeat("A", 1<<24))
			for len(bomb) > 0 {
				n := min(len(bomb), 1<<14)
				_ = f.WriteData(1, false, []byte(bomb[:n]))
				bomb = bomb[n:]
			}
		}), probetest.Ample, probes.SuccessResult(), probes.FailureResult(probes.ReasonContent)},
	})
}

func TestHTTP2ProbeMemoryIsBounded(t *testing.T) {
	many := []string{":status", "200"}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("a%d", i), "")
	}
	for name, exchange := range map[string]func(net.Conn){
		"endless body": hostile2(true, func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1<<10)) }),
		"pings":        hostile2(true, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }),
		"header names": answering2(many),
	} {
		t.Run(name, func(t *testing.T) {
			testMemoryIsBounded(t, over2(probetest.Serve(t, exchange), "healthy"))
		})
	}
}

// FuzzHTTP2Answer: whatever an endpoint sends, reading it ends without a panic and with a
// verdict on the endpoint, and what is read is bounded.
func FuzzHTTP2Answer(f *testing.F) {
	add := func(exchange func(*http2.Framer)) {
		var answer bytes.Buffer
		exchange(http2.NewFramer(&answer, nil))
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
		most := maxHTTP2Bytes + transport.MaxLingerBytes + maxFramingBytes
		if wantBody {
			p.settings.ExpectedBody = regexp.MustCompile("ok")
			most += DefaultMaxBodyBytes + maxFramingBytes
		}
		from := strings.NewReader(string(answer) + endless)
		received, err := p.receiveHTTP2(struct {
			io.Reader
			io.Writer
		}{from, io.Discard}, func() {})
		verdict := p.verdict(received)
		if err != nil {
			verdict = transport.Classify(t.Context(), err)
		}
		if verdict.Outcome == probes.Unknown {
			t.Errorf("%q: got %+v", answer, verdict)
		}
		if read := int(from.Size()) - from.Len(); read > most {
			t.Errorf("%d bytes were read, more than %d", read, most)
		}
	})
}
