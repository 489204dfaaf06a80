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
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// TestProbes_OfEveryScheme_ResolveAndDialAlike: the same cache, the same check of the address.
func TestProbes_OfEveryScheme_ResolveAndDialAlike(t *testing.T) {
	closed := probetest.Refusing(t)
	for addr, want := range map[string]probes.Result{
		"127.0.0.1":       probes.FailureResult(probes.ReasonConnectionRefused),
		"169.254.169.254": probes.FailureResult(probes.ReasonAddressRefused),
	} {
		var queries atomic.Int32
		zone := probetest.Holding(map[string][]string{"legacy.example. A": {"legacy.example. 3600 IN A " + addr}})
		server := probetest.NameServer(t, probetest.AnswersBy(t, func(question string) (int, []string) {
			queries.Add(1)
			return zone(question)
		}), probetest.Silence)
		dialer := transport.NewDialer(loopback)
		dialer.ResolveBy([]netip.AddrPort{server})
		registry := NewRegistry(dialer)
		for scheme := range registry {
			if scheme == "icmp" {
				continue // see TestICMPProbe
			}
			for _, parameter := range []string{"", " version=HTTP2"} {
				def := Definition{
					URL: scheme + "://legacy.example", Port: closed.Port(), UDPPort: closed.Port(),
					UDP: &UDPSettings{Steps: []Step{{Send: []byte("ping")}, {Expect: []byte("pong")}}},
				}
				switch {
				case parameter != "" && !strings.HasPrefix(scheme, "http"):
					continue
				case scheme == "dns":
					def.URL += "/www.example"
				default:
					def.URL += parameter
				}
				if scheme == "postgres" || scheme == "mysql" {
					def.Credentials = &Credentials{Username: "probe", Password: "secret"}
				}
				t.Run(addr+"/"+scheme+parameter, func(t *testing.T) {
					prober, err := registry.New(withFields(t, def))
					if err != nil {
						t.Fatal(err)
					}
					if got := probeOnce(t, prober, probetest.Ample); got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				})
			}
		}
		if n := queries.Load(); n != 2 {
			t.Errorf("%d queries for all schemes together, want one of each type", n)
		}
	}
}

// TestProbe_FirstAddressIsSilent_NextIsTried takes the next address long before the probe's
// time is over.
func TestProbe_FirstAddressIsSilent_NextIsTried(t *testing.T) {
	hole := probetest.BlackHole(t)
	listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), hole.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	resolving(t, always("127.0.0.1", "127.0.0.2"))
	dialer := testDialer(loopback)
	prober, err := NewRegistry(dialer).New(Definition{URL: "tcp://legacy.example", Port: hole.Port()})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(start); took > probetest.Ample/2 {
		t.Errorf("took %v", took)
	}
}
