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
	"slices"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// TestLoopHandsOverWhatTakesMore: the kernel does not take the request whole, and the
// answer comes in pieces that are far apart.
func TestLoopHandsOverWhatTakesMore(t *testing.T) {
	const line = 4000
	for name, lines := range map[string]int{"answer": 1, "request": 4000} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan int, 4)
			def := at(probetest.Serve(t, func(conn net.Conn) {
				heard <- len(probetest.ReadRequest(conn))
				for piece := range strings.SplitAfterSeq(probetest.Well, "\n") {
					time.Sleep(5 * time.Millisecond)
					_, _ = io.WriteString(conn, piece)
				}
			}), "http://")
			filling := Header{"X-Filling", strings.Repeat("-", line)}
			def.HTTP = &HTTPSettings{Headers: slices.Repeat([]Header{filling}, lines)}
			if got := probeByScheduler(t, prepare(t, def), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
			if got := <-heard; got < lines*line {
				t.Errorf("%d bytes of the request have arrived", got)
			}
		})
	}
}

// TestLoopAsksThePolicyAtEveryProbe, which may have changed since the prober was prepared.
func TestLoopAsksThePolicyAtEveryProbe(t *testing.T) {
	strict := transport.NewDialer(egress.NewPolicy(egress.Rules{}))
	overHTTP := prepare(t, at(probetest.Unvisited(t), "http://")).(*httpProber)
	overHTTP.dialer = strict
	overTCP := prepare(t, at(probetest.Unvisited(t), "tcp://")).(*tcpProber)
	overTCP.dialer = strict
	for _, prober := range []probes.Prober{overHTTP, overTCP} {
		if got, want := probeByScheduler(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonAddressRefused); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
