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
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTCPProbe(t *testing.T) {
	saying := func(banner string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, banner) }
	}
	pong := func(conn net.Conn) {
		ping := make([]byte, 4)
		if _, err := io.ReadFull(conn, ping); err == nil && string(ping) == "PING" {
			_, _ = io.WriteString(conn, "+PONG\r\n")
		}
	}
	inPieces := func(conn net.Conn) {
		for _, piece := range []string{"+P", "O", "N", "G"} {
			time.Sleep(5 * time.Millisecond)
			_, _ = io.WriteString(conn, piece)
		}
	}
	for _, test := range []struct {
		name     string
		endpoint netip.AddrPort
		settings TCPSettings
		timeout  time.Duration
		want     Result
	}{
		{"open", serve(t, silence), TCPSettings{}, ample, SuccessResult()},
		{"open on IPv6", serveOn(t, ipv6Loopback(t), silence), TCPSettings{}, ample, SuccessResult()},
		{"closed", refusing(t), TCPSettings{}, ample, FailureResult(ReasonConnectionRefused)},
		{"black hole", blackHole(t), TCPSettings{}, brief, FailureResult(ReasonTimeout)},
		{"only sends", serve(t, silence), TCPSettings{Send: "hello"}, ample, SuccessResult()},
		{"banner", serve(t, saying("220 mail ready\r\n")), TCPSettings{Expect: "220 "}, ample, SuccessResult()},
		{"banner further on", serve(t, saying(strings.Repeat("-", 4000)+"220")), TCPSettings{Expect: "220"}, ample, SuccessResult()},
		{"banner too far on", serve(t, saying(strings.Repeat("-", 5000)+"220")), TCPSettings{Expect: "220"}, ample, FailureResult(ReasonContent)},
		{"question and answer", serve(t, pong), TCPSettings{Send: "PING", Expect: "PONG"}, ample, SuccessResult()},
		{"answer in pieces", serve(t, inPieces), TCPSettings{Expect: "PONG"}, ample, SuccessResult()},
		{"another answer", serve(t, saying("-LOADING\r\n")), TCPSettings{Expect: "PONG"}, brief, FailureResult(ReasonContent)},
		{"another answer and end", serve(t, closing(saying("-ERR\r\n"))), TCPSettings{Expect: "PONG"}, ample, FailureResult(ReasonContent)},
		{"no answer", serve(t, silence), TCPSettings{Expect: "PONG"}, brief, FailureResult(ReasonTimeout)},
		{"end", serve(t, closing(silence)), TCPSettings{Expect: "PONG"}, ample, FailureResult(ReasonConnectionClosed)},
		{"reset", serve(t, aborting(silence)), TCPSettings{Expect: "PONG"}, ample, FailureResult(ReasonConnectionClosed)},
		{"endless answer", serve(t, func(conn net.Conn) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, "nothing of the kind ")
			}
		}), TCPSettings{Expect: "PONG"}, ample, FailureResult(ReasonContent)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.endpoint, "tcp://")
			def.TCP = &test.settings
			if got := result(t, def, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestTCPProbeEndsCleanlyAfterAConversation(t *testing.T) {
	ended := make(chan error, 2)
	endpoint := serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220")
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	def := at(endpoint, "tcp://")
	def.TCP = &TCPSettings{Expect: "220"}
	if got := result(t, def, ample); got != SuccessResult() {
		t.Fatalf("got %+v", got)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("the connection ended with %v, not with its end", err)
		}
	}
}

func TestTCPProbeCanceled(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got, want := prepare(t, at(unvisited(t), "tcp://")).Probe(ctx), UnknownResult(ReasonCanceled); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("while dialling", func(t *testing.T) {
		soon := make(chan struct{})
		time.AfterFunc(30*time.Millisecond, func() { close(soon) })
		testCanceled(t, at(blackHole(t), "tcp://"), soon)
	})
	t.Run("while reading", func(t *testing.T) {
		connected := make(chan struct{})
		def := at(serve(t, func(net.Conn) { close(connected) }), "tcp://")
		def.TCP = &TCPSettings{Expect: "220"}
		testCanceled(t, def, connected)
	})
}

func TestTCPProbeOutOfFileDescriptors(t *testing.T) {
	endpoint := serve(t, silence)
	prober := prepare(t, at(endpoint, "tcp://"))
	release := exhaustFileDescriptors(t)
	result := probeOnce(t, prober, ample)
	release()
	if want := UnknownResult(ReasonLocalResources); result != want {
		t.Errorf("got %+v, want %+v", result, want)
	}
}

func benchmarkTCPProbe(b *testing.B) {
	endpoint := serve(b, silence)
	benchmark(b, at(endpoint, "tcp://"))
}

func benchmark(b *testing.B, def Definition) {
	b.Helper()
	prober := prepare(b, def)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), ample)
		if result := prober.Probe(ctx); result != SuccessResult() {
			b.Fatalf("got %+v", result)
		}
		cancel()
	}
}
