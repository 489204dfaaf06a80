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
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/transport"
)

// The rules hold for the next dial, not for the next prober.
func TestEgressPolicyChangesWhileProbersAreInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	policy := egress.NewPolicy(egress.Rules{AllowLoopbackProbes: true})
	registry := NewRegistry(transport.NewDialer(policy))
	prober, err := registry.New(Definition{URL: "tcp://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got := prober.Probe(ctx); got != probes.SuccessResult() {
		t.Fatalf("%v", got)
	}
	policy.Set(egress.Rules{})
	if got := prober.Probe(ctx); got != probes.FailureResult(probes.ReasonAddressRefused) {
		t.Errorf("%v", got)
	}
}

// Nothing refused is dialled, however it is spelled: a listener on all of the machine's
// addresses sees no connection.
func TestRefusedAddressesSeeNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	seen := make(chan net.Addr, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(seen)
				return
			}
			seen <- conn.RemoteAddr()
			conn.Close()
		}
	}()
	hosts := []string{
		"2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "0.0.0.0.",
		"localhost", "LocalHost", "localhost.", "①②⑦.0.0.1", "127.0.0.1.", "127。0。0。1", "::ffff:127.0.0.1%25lo",
	}
	hosts = append(hosts, strings.Fields(`0.0.0.0 0.1.2.3 127.0.0.1 127.1.2.3 169.254.169.254 224.0.0.1 255.255.255.255 10.96.0.1
		:: ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::127.0.0.1 2002:7f00:1::1 fe80::1 ff02::1 fd00:ec2::254`)...)
	cluster := egress.ClusterRange{Prefix: netip.MustParsePrefix("10.96.0.0/16"), Kind: "a Service of this cluster"}
	registry := NewRegistry(transport.NewDialer(egress.NewPolicy(egress.Rules{Cluster: []egress.ClusterRange{cluster}})))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, host := range hosts {
		for _, scheme := range []string{"http", "tcp"} {
			prober, err := registry.New(Definition{URL: scheme + "://" + net.JoinHostPort(host, port)})
			if err != nil {
				continue
			}
			if result := prober.Probe(ctx); result.Outcome == probes.Success {
				t.Errorf("%s: %v", host, result)
			}
		}
		if _, err := registry.New(Definition{URL: "tcp://", Address: netip.MustParseAddr("127.0.0.1"), Port: 80}); err == nil {
			t.Error("an endpoint's own address goes by other rules than its URL's")
		}
	}
	listener.Close()
	for from := range seen {
		t.Errorf("a connection came from %s", from)
	}
}
