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
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
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
		want     probes.Result
	}{
		{"open", probetest.Serve(t, probetest.Silence), TCPSettings{}, probetest.Ample, probes.SuccessResult()},
		{"open on IPv6", probetest.ServeOn(t, probetest.Ipv6Loopback(t), probetest.Silence), TCPSettings{}, probetest.Ample, probes.SuccessResult()},
		{"closed", probetest.Refusing(t), TCPSettings{}, probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused)},
		{"black hole", probetest.BlackHole(t), TCPSettings{}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"only sends", probetest.Serve(t, probetest.Silence), TCPSettings{Steps: []Step{{Send: []byte("hello")}}}, probetest.Ample, probes.SuccessResult()},
		{"banner", probetest.Serve(t, saying("220 mail ready\r\n")), TCPSettings{Steps: []Step{{Expect: []byte("220 ")}}}, probetest.Ample, probes.SuccessResult()},
		{"banner further on", probetest.Serve(t, saying(strings.Repeat("-", 4000)+"220")), TCPSettings{Steps: []Step{{Expect: []byte("220")}}}, probetest.Ample, probes.SuccessResult()},
		{"banner too far on", probetest.Serve(t, saying(strings.Repeat("-", 5000)+"220")), TCPSettings{Steps: []Step{{Expect: []byte("220")}}}, probetest.Ample, probes.FailureResult(probes.ReasonContent)},
		{"question and answer", probetest.Serve(t, pong), TCPSettings{Steps: []Step{{Send: []byte("PING")}, {Expect: []byte("PONG")}}}, probetest.Ample, probes.SuccessResult()},
		{"answer in pieces", probetest.Serve(t, inPieces), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Ample, probes.SuccessResult()},
		{"another answer", probetest.Serve(t, saying("-LOADING\r\n")), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Brief, probes.FailureResult(probes.ReasonContent)},
		{"another answer and end", probetest.Serve(t, probetest.Closing(saying("-ERR\r\n"))), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Ample, probes.FailureResult(probes.ReasonContent)},
		{"no answer", probetest.Serve(t, probetest.Silence), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"end", probetest.Serve(t, probetest.Closing(probetest.Silence)), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"reset", probetest.Serve(t, probetest.Aborting(probetest.Silence)), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"endless answer", probetest.Serve(t, func(conn net.Conn) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, "nothing of the kind ")
			}
		}), TCPSettings{Steps: []Step{{Expect: []byte("PONG")}}}, probetest.Ample, probes.FailureResult(probes.ReasonContent)},
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
	endpoint := probetest.Serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220")
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	def := at(endpoint, "tcp://")
	def.TCP = &TCPSettings{Steps: []Step{{Expect: []byte("220")}}}
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
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
		if got, want := prepare(t, at(probetest.Unvisited(t), "tcp://")).Probe(ctx), probes.UnknownResult(probes.ReasonCanceled); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("while dialling", func(t *testing.T) {
		soon := make(chan struct{})
		time.AfterFunc(30*time.Millisecond, func() { close(soon) })
		testCanceled(t, at(probetest.BlackHole(t), "tcp://"), soon)
	})
	t.Run("while reading", func(t *testing.T) {
		accepted := make(chan struct{})
		def := at(probetest.Serve(t, func(net.Conn) { close(accepted) }), "tcp://")
		def.TCP = &TCPSettings{Steps: []Step{{Expect: []byte("220")}}}
		testCanceled(t, def, accepted)
	})
}

func TestTCPProbeOutOfFileDescriptors(t *testing.T) {
	endpoint := probetest.Serve(t, probetest.Silence)
	prober := prepare(t, at(endpoint, "tcp://"))
	release := probetest.ExhaustFileDescriptors(t)
	result := probeOnce(t, prober, probetest.Ample)
	release()
	if want := probes.UnknownResult(probes.ReasonLocalResources); result != want {
		t.Errorf("got %+v, want %+v", result, want)
	}
}

func benchmarkTCPProbe(b *testing.B) {
	endpoint := probetest.Serve(b, probetest.Silence)
	benchmark(b, at(endpoint, "tcp://"))
}

func benchmark(b *testing.B, def Definition) {
	b.Helper()
	prober := prepare(b, def)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), probetest.Ample)
		if result := prober.Probe(ctx); result != probes.SuccessResult() {
			b.Fatalf("got %+v", result)
		}
		cancel()
	}
}
