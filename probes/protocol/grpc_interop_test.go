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
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// grpcData is an exchange that answers with these bytes, and ends the stream after them or by
// trailers.
func grpcData(end bool, bytes ...byte) func(*http2.Framer) {
	return func(framer *http2.Framer) {
		okay(framer)
		_ = framer.WriteData(1, end, bytes)
		headers(framer, true, "grpc-status", "0")
	}
}

// repeated is an exchange that writes the same for ever.
func repeated(write func(*http2.Framer) error) func(*http2.Framer) {
	return func(framer *http2.Framer) {
		err := framer.WriteSettings()
		for err == nil {
			err = write(framer)
		}
	}
}

type grpcCase struct {
	name     string
	exchange func(net.Conn)
	timeout  time.Duration
	want     probes.Result
}

func checkGRPC(t *testing.T, cases []grpcCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, at(probetest.Serve(t, test.exchange), "grpc:// service=shop.Cart"), test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestGRPCProbe_ValidResponse_IsUnderstood(t *testing.T) {
	checkGRPC(t, []grpcCase{
		{"as it should be", frames(grpcData(false, grpcMessage(1)...)), probetest.Ample, probes.SuccessResult()},
		{"in pieces", frames(func(framer *http2.Framer) {
			okay(framer)
			for _, piece := range grpcMessage(1) {
				_ = framer.WriteData(1, false, []byte{piece})
			}
			headers(framer, true, "grpc-status", "0")
		}), probetest.Ample, probes.SuccessResult()},
		{"padded, with other frames between", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WritePing(false, [8]byte{1})
			_ = framer.WriteWindowUpdate(0, 100)
			_ = framer.WriteRawFrame(0xbe, 0, 1, []byte("unknown"))
			_ = framer.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = framer.WriteDataPadded(1, false, grpcMessage(1), make([]byte, 100))
			headers(framer, true, "grpc-status", "0")
		}), probetest.Ample, probes.SuccessResult()},
		{"interim headers", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "103")
			grpcData(false, grpcMessage(1)...)(framer)
		}), probetest.Ample, probes.SuccessResult()},
		{"message, then an error", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(1, false, grpcMessage(1))
			headers(framer, true, "grpc-status", "13")
		}), probetest.Ample, probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 13}},
	})
}

func TestGRPCProbe_InvalidResponse_Fails(t *testing.T) {
	checkGRPC(t, []grpcCase{
		{"no message", frames(grpcData(false)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"no trailers", frames(grpcData(true, grpcMessage(1)...)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"half a message", frames(grpcData(false, grpcMessage(1)[:6]...)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"compressed", frames(grpcData(false, 1, 0, 0, 0, 2, 8, 1)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"huge message", frames(grpcData(false, 0, 255, 255, 255, 255)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"malformed message", frames(grpcData(false, 0, 0, 0, 0, 2, 8, 255)), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"odd grpc-status", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "s3cret")
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"a proxy without a backend", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "503")
		}), probetest.Ample, probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 503}},
		{"a web server", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "200", "content-type", "text/html")
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"no status", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, "content-type", "application/grpc")
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"data first", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteData(1, false, grpcMessage(1))
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"no settings", frames(func(framer *http2.Framer) { _ = framer.WritePing(false, [8]byte{}) }), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"another stream", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(3, false, grpcMessage(1))
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"push", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"refused stream", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"going away", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
	})
}

func TestGRPCProbe_OtherProtocolOrNoResponse_Fails(t *testing.T) {
	const well = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	checkGRPC(t, []grpcCase{
		{"HTTP/1.1", func(conn net.Conn) { _, _ = io.WriteString(conn, well) }, probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"mail", func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail ready\r\n") }, probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"silent", probetest.Silence, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"silent after the settings", frames(func(framer *http2.Framer) { _ = framer.WriteSettings() }), probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"closes at once", probetest.Closing(probetest.Silence), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"resets at once", probetest.Aborting(probetest.Silence), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"closes within a frame", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x00\x00\x06\x04\x00\x00") }), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
	})
}

func TestGRPCProbe_EndlessResponse_IsBounded(t *testing.T) {
	checkGRPC(t, []grpcCase{
		{"drip", func(conn net.Conn) { probetest.Drip(conn, "\x00\x40\x00\x04\x00\x00\x00\x00\x00", "\x00") }, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"huge frame", func(conn net.Conn) { probetest.Drip(conn, "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "\x00") }, probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"endless pings", frames(repeated(func(framer *http2.Framer) error { return framer.WritePing(false, [8]byte{}) })), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"endless settings", frames(repeated(func(framer *http2.Framer) error { return framer.WriteSettings() })), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"endless interim headers", frames(repeated(func(framer *http2.Framer) error {
			headers(framer, false, ":status", "103")
			return framer.WriteWindowUpdate(0, 1)
		})), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"endless headers", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for err == nil {
				err = framer.WriteContinuation(1, false, []byte(strings.Repeat("\x00\x01a\x01b", 100)))
			}
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"endless data", frames(func(framer *http2.Framer) {
			okay(framer)
			for err := error(nil); err == nil; {
				err = framer.WriteData(1, false, make([]byte, 100))
			}
		}), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
	})
}

// FuzzGRPCAnswer: whatever a server sends, reading it ends without a panic, and what is
// read is bounded.
func FuzzGRPCAnswer(f *testing.F) {
	well := func(exchange func(*http2.Framer)) []byte {
		var answer strings.Builder
		exchange(http2.NewFramer(&answer, nil))
		return []byte(answer.String())
	}
	f.Add(well(func(framer *http2.Framer) {
		okay(framer)
		_ = framer.WriteData(1, false, grpcMessage(1))
		headers(framer, true, "grpc-status", "0")
	}))
	f.Add(well(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		headers(framer, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
	}))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		from := strings.NewReader(string(answer) + strings.Repeat("\x00\x00\x00\x06\x01\x00\x00\x00\x00", 10_000))
		reader := newHTTP2Reader(struct {
			io.Reader
			io.Writer
		}{from, io.Discard})
		defer reader.release()
		call := grpcCall{reader: reader}
		result, err := call.next()
		if err == nil {
			err = call.last()
		}
		if err != nil {
			result = transport.Classify(t.Context(), err)
		}
		if read := int(from.Size()) - from.Len(); read > maxHTTP2Bytes {
			t.Errorf("%d bytes were read", read)
		}
		if result.Outcome == probes.Unknown {
			t.Errorf("%q: got %+v", answer, result)
		}
	})
}
