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
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/probetest"
)

// within is a registry for a tenant on the loopback.
func within(rules egress.TenantRules) Registry {
	rules.Source = "policy test"
	return NewRegistry(testDialer(loopback).Within(egress.NewBounds(rules)))
}

func TestBoundsHoldForURLs(t *testing.T) {
	registry := within(egress.TenantRules{
		AllowedCIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, AllowedSuffixes: []string{"example.com"},
		DeniedPorts: []egress.PortRange{{First: 22, Last: 22}, {First: 5432, Last: 5432}}, DeniedSchemes: []string{"icmp", "redis"},
	})
	for url, want := range map[string]string{
		"tcp://":                      "",
		"https://192.0.2.1/":          "",
		"tcp://:22":                   "port 22 is not allowed by policy test",
		"tcp://192.0.3.1":             "the address 192.0.3.1 is not allowed by policy test",
		"http://api.example.com/":     "",
		"http://api.example.com:22/":  "port 22 is not allowed by policy test",
		"http://example.org/":         "the name example.org is not allowed by policy test",
		"postgres://:5432/app":        "port 5432 is not allowed by policy test",
		"icmp://":                     "the scheme icmp is not allowed by policy test",
		"redis://":                    "the scheme redis is not allowed by policy test",
		"tcp://%zz":                   "cannot be parsed",
		"dns://192.0.2.53/a.example.": "",
	} {
		_, err := registry.New(Definition{URL: url, Address: netip.MustParseAddr("192.0.2.10"), Port: 8080})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.Error(), want) && !strings.Contains(err.Error(), want+":")):
			t.Errorf("%s: %v, want %s", url, err, want)
		case strings.Contains(want, "allowed") != errors.Is(err, egress.ErrOutOfBounds):
			t.Errorf("%s: %v is ErrOutOfBounds: %v", url, err, errors.Is(err, egress.ErrOutOfBounds))
		}
	}
	// There are no ports with ICMP.
	_, err := within(egress.TenantRules{AllowedPorts: []egress.PortRange{{First: 443, Last: 443}}}).New(Definition{URL: "icmp://127.0.0.1"})
	if err != nil {
		t.Error(err)
	}
}

// A redirect out of bounds leads nowhere, at whatever hop, by address, port, name or
// scheme.
func TestBoundsHoldForRedirects(t *testing.T) {
	hidden := probetest.Unvisited(t)
	resolving(t, always(hidden.Addr().String()))
	rules := map[string]egress.TenantRules{
		"http://" + hidden.String() + "/":                               {DeniedPorts: []egress.PortRange{{First: hidden.Port(), Last: hidden.Port()}}},
		fmt.Sprintf("http://[::ffff:127.0.0.1]:%d/", hidden.Port()):     {DeniedPorts: []egress.PortRange{{First: hidden.Port(), Last: hidden.Port()}}},
		fmt.Sprintf("http://hidden.example:%d/", hidden.Port()):         {AllowedSuffixes: []string{"example.com"}},
		fmt.Sprintf("http://HIDDEN.internal.test.:%d/", hidden.Port()):  {DeniedSuffixes: []string{"internal.test"}},
		fmt.Sprintf("https://hidden.example.com:%d/", hidden.Port()):    {DeniedSchemes: []string{"https"}},
		fmt.Sprintf("http://127.66.0.1:%d/", hidden.Port()):             {DeniedCIDRs: []netip.Prefix{netip.MustParsePrefix("127.66.0.0/16")}},
		fmt.Sprintf("http://elsewhere.example.com:%d/y", hidden.Port()): {DeniedPorts: []egress.PortRange{{First: hidden.Port(), Last: hidden.Port()}}},
	}
	for to, bound := range rules {
		for _, hops := range []int{1, 2, 9} {
			s := newSite(t)
			for i := range hops - 1 {
				s.redirects(fmt.Sprintf("/%d", i), 302, fmt.Sprintf("/%d", i+1))
			}
			s.redirects(fmt.Sprintf("/%d", hops-1), 302, to)
			def := at(s.at, "http:///0")
			def.HTTP = &HTTPSettings{FollowRedirects: true}
			prober, err := within(bound).New(def)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonRedirect); got != want {
				t.Errorf("%s at hop %d: %+v, want %+v", to, hops, got, want)
			}
			if n := len(s.seen()); n != hops {
				t.Errorf("%s: %d requests, want %d", to, n, hops)
			}
		}
	}
}

// What a name resolves to is checked when it is connected to, each time.
func TestBoundsHoldForWhatNamesResolveTo(t *testing.T) {
	hidden := probetest.Unvisited(t)
	resolving(t, always("127.0.0.1"))
	registry := within(egress.TenantRules{AllowedCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, AllowedSuffixes: []string{"example"}})
	for _, scheme := range []string{"tcp", "http", "icmp", "dns", "redis", "postgres", "mysql", "grpc", "tls"} {
		url := fmt.Sprintf("%s://service.example:%d", scheme, hidden.Port())
		switch scheme {
		case "icmp":
			url = "icmp://service.example"
		case "dns":
			url += "/a.example transport=TCP"
		}
		prober, err := registry.New(withFields(t, Definition{URL: url}))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonAddressRefused); got != want {
			t.Errorf("%s: %+v, want %+v", url, got, want)
		}
	}
}
