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
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// zone answers a query; ok is false if it does not.
type zone func(name string) (addresses []netip.Addr, code dnsmessage.RCode, ok bool)

func always(addresses ...string) zone {
	var parsed []netip.Addr
	for _, address := range addresses {
		parsed = append(parsed, netip.MustParseAddr(address))
	}
	return func(string) ([]netip.Addr, dnsmessage.RCode, bool) { return parsed, dnsmessage.RCodeSuccess, true }
}

func failing(code dnsmessage.RCode) zone {
	return func(string) ([]netip.Addr, dnsmessage.RCode, bool) { return nil, code, true }
}

// resolving makes all names of the test resolve by the zone, in a resolver of the
// test's own that speaks real DNS.
func resolving(t *testing.T, answer zone) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1<<10)
		for {
			n, client, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			if response := respond(t, buffer[:n], answer); response != nil {
				_, _ = server.WriteTo(response, client)
			}
		}
	}()
	before := testNameServers
	testNameServers = []netip.AddrPort{netip.MustParseAddrPort(server.LocalAddr().String())}
	t.Cleanup(func() {
		testNameServers = before
		server.Close()
		<-done
	})
}

// testNameServers are those of the dialers of this package's tests; those of the host if there
// are none.
var testNameServers []netip.AddrPort

// testDialer is NewDialer with the name servers of the test.
func testDialer(policy *egress.Policy) *transport.Dialer {
	dialer := transport.NewDialer(policy)
	if testNameServers != nil {
		dialer.ResolveBy(testNameServers)
	}
	return dialer
}

func respond(t *testing.T, query []byte, answer zone) []byte {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		t.Error(err)
		return nil
	}
	question := message.Questions[0]
	addresses, code, ok := answer(question.Name.String())
	if !ok {
		return nil
	}
	message.Response, message.RecursionAvailable, message.RCode, message.Additionals = true, true, code, nil
	for _, addr := range addresses {
		header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class}
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	response, err := message.Pack()
	if err != nil {
		t.Error(err)
	}
	return response
}

func TestNameResolution(t *testing.T) {
	open, hole := probetest.Serve(t, probetest.Silence), probetest.BlackHole(t)
	slowly := func(name string) ([]netip.Addr, dnsmessage.RCode, bool) {
		time.Sleep(700 * time.Millisecond) // most of the probe's second
		return always("127.0.0.1")(name)
	}
	for _, test := range []struct {
		name string
		zone
		endpoint netip.AddrPort
		timeout  time.Duration
		want     probes.Result
	}{
		{"found", always("127.0.0.1"), open, probetest.Ample, probes.SuccessResult()},
		{"the first address does not answer", always("127.0.0.2", "127.0.0.1"), open, probetest.Ample, probes.SuccessResult()},
		{"the first address is forbidden", always("169.254.169.254", "127.0.0.1"), open, probetest.Ample, probes.SuccessResult()},
		{"nothing listens", always("127.0.0.1"), probetest.Refusing(t), probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused)},
		{"no such name", failing(dnsmessage.RCodeNameError), open, probetest.Ample, probes.UnknownResult(probes.ReasonNameResolution)},
		{"no address", always(), open, probetest.Ample, probes.UnknownResult(probes.ReasonNameResolution)},
		{"the resolver fails", failing(dnsmessage.RCodeServerFailure), open, probetest.Ample, probes.UnknownResult(probes.ReasonNameResolution)},
		{"the resolver is silent", func(string) (_ []netip.Addr, _ dnsmessage.RCode, ok bool) { return nil, 0, false }, open, probetest.Brief, probes.UnknownResult(probes.ReasonNameResolution)},
		{"the resolver is slow, the endpoint is well", slowly, open, probetest.Ample, probes.SuccessResult()},
		{"the resolver is slow, the endpoint silent", slowly, hole, time.Second, probes.UnknownResult(probes.ReasonNameResolution)},
		{"the endpoint is silent", always("127.0.0.1"), hole, time.Second, probes.FailureResult(probes.ReasonTimeout)},
		{"metadata address", always("169.254.169.254"), open, probetest.Ample, probes.FailureResult(probes.ReasonAddressRefused)},
		{"metadata address on IPv6", always("fd00:ec2::254"), open, probetest.Ample, probes.FailureResult(probes.ReasonAddressRefused)},
	} {
		t.Run(test.name, func(t *testing.T) {
			resolving(t, test.zone)
			if got := result(t, at(test.endpoint, "tcp://legacy.example."), test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestNameRebinding: what a name was good for once does not count for the next dial.
func TestNameRebinding(t *testing.T) {
	var dials atomic.Int32
	resolving(t, func(name string) ([]netip.Addr, dnsmessage.RCode, bool) {
		if dials.Load() == 0 {
			return always("127.0.0.1")(name)
		}
		return always("169.254.169.254")(name)
	})
	prober := prepare(t, at(probetest.Serve(t, probetest.Silence), "tcp://legacy.example."))
	if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	dials.Add(1)
	probetest.Eventually(t, "the new address is refused", func() bool {
		return probeOnce(t, prober, probetest.Ample) == probes.FailureResult(probes.ReasonAddressRefused)
	})
}

func TestRedirectToName(t *testing.T) {
	for name, test := range map[string]struct {
		zone
		want probes.Result
	}{
		"no such name":     {failing(dnsmessage.RCodeNameError), probes.FailureResult(probes.ReasonRedirect)},
		"metadata address": {always("169.254.169.254"), probes.FailureResult(probes.ReasonRedirect)},
		"resolver fails":   {failing(dnsmessage.RCodeServerFailure), probes.UnknownResult(probes.ReasonNameResolution)},
	} {
		t.Run(name, func(t *testing.T) {
			resolving(t, test.zone)
			s := newSite(t).redirects("/a/b?c", 302, "http://elsewhere.example./")
			if got := s.result(t, HTTPSettings{}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestLoopbackIsRefused: without leave, nothing gets to the operator's own host, in
// whatever form its address comes.
func TestLoopbackIsRefused(t *testing.T) {
	resolving(t, always("127.0.0.1", "::1"))
	hidden := probetest.Unvisited(t)
	port := hidden.Port()
	registry := NewRegistry(testDialer(egress.NewPolicy(egress.Rules{})))
	for _, scheme := range []string{"tcp", "http", "https"} {
		for _, host := range []string{
			"", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "localhost", "legacy.example.",
			"2130706433", "0x7f000001", "127.1", "0177.0.0.1", "0x7f.1",
		} {
			def := Definition{URL: scheme + "://" + host, Address: hidden.Addr(), Port: port}
			t.Run(def.URL, func(t *testing.T) {
				prober, err := registry.New(def)
				if err != nil {
					if !strings.HasPrefix(err.Error(), "healthCheckURL ") {
						t.Errorf("got the error %q", err)
					}
					return
				}
				if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonAddressRefused); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

// TestProxyVariablesAreIgnored uses a name, since proxies are never used for the
// loopback's addresses.
func TestProxyVariablesAreIgnored(t *testing.T) {
	resolving(t, always("127.0.0.1"))
	proxy := probetest.Unvisited(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+proxy.String())
	}
	target := newSite(t).has("/ok", probetest.Well)
	start := newSite(t).redirects("/", 302, "http://legacy.example.:"+strconv.Itoa(int(target.at.Port()))+"/ok")
	def := at(start.at, "http://legacy.example./")
	def.HTTP = &HTTPSettings{FollowRedirects: true}
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() || len(target.seen()) != 1 {
		t.Errorf("got %+v and %d requests", got, len(target.seen()))
	}
}
