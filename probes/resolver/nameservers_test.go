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

package resolver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/socket"
)

func TestLookup(t *testing.T) {
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("many.example. 60 IN A 198.51.100.%d", i))
	}
	zone := probetest.Holding(map[string][]string{
		"db.example. A":            {"db.example. 60 IN A 192.0.2.9"},
		"db.example. AAAA":         {"--", probetest.SOA},
		"many.example. A":          many,
		"alias.example. A":         {"alias.example. 20 IN CNAME db.example."},
		"far.example. A":           {"far.example. 90 IN CNAME alias.example."},
		"loop.example. A":          {"loop.example. 60 IN CNAME pool.example."},
		"pool.example. A":          {"pool.example. 60 IN CNAME loop.example."},
		"_db._tcp.example. SRV":    {"_db._tcp.example. 60 IN SRV 10 5 5432 db.example."},
		"dangling.example. A":      {"dangling.example. 60 IN CNAME missing.example."},
		"_none._tcp.example. SRV":  {"_none._tcp.example. 60 IN SRV 0 0 0 ."},
		"capitals.example. A":      {"Capitals.Example. 60 IN A 192.0.2.9"},
		"chain.example. A":         {"chain.example. 60 IN CNAME a.example.", "a.example. 60 IN CNAME b.example.", "b.example. 10 IN A 192.0.2.7"},
		"dual.example. A":          {"dual.example. 60 IN A 192.0.2.8"},
		"dual.example. AAAA":       {"dual.example. 60 IN AAAA 2001:db8::8"},
		"withoutsoa.example. AAAA": nil,
	})
	fits := probetest.AnswersBy(t, zone)
	tooLong := probetest.AnswersBy(t, zone, func(m *dns.Msg) { m.Truncate(MaxDatagram) })
	server := probetest.NameServer(t, tooLong, probetest.ByTCP(fits))
	servers := newNameServers("", []netip.AddrPort{server})
	for _, test := range []struct {
		question Question
		want     dnsReply
	}{
		{Question{Name: "db.example", Type: RecordA}, dnsReply{LookupFound, addresses("192.0.2.9"), time.Minute, ""}},
		{Question{Name: "db.example", Type: RecordAAAA}, dnsReply{LookupEmpty, RecordSet{}, 30 * time.Second, ""}},
		{Question{Name: "capitals.example", Type: RecordA}, dnsReply{LookupFound, addresses("192.0.2.9"), time.Minute, ""}},
		{Question{Name: "alias.example", Type: RecordA}, dnsReply{LookupFound, addresses("192.0.2.9"), 20 * time.Second, ""}},
		{Question{Name: "far.example", Type: RecordA}, dnsReply{LookupFound, addresses("192.0.2.9"), 20 * time.Second, ""}},
		{Question{Name: "chain.example", Type: RecordA}, dnsReply{LookupFound, addresses("192.0.2.7"), 10 * time.Second, ""}},
		{Question{Name: "loop.example", Type: RecordA}, dnsReply{outcome: LookupAliasLoop}},
		{Question{Name: "dangling.example", Type: RecordA}, dnsReply{LookupMissing, RecordSet{}, 30 * time.Second, ""}},
		{Question{Name: "missing.example", Type: RecordA}, dnsReply{LookupMissing, RecordSet{}, 30 * time.Second, ""}},
		{Question{Name: "dual.example", Type: RecordAAAA}, dnsReply{LookupFound, addresses("2001:db8::8"), time.Minute, ""}},
		{Question{Name: "withoutsoa.example", Type: RecordAAAA}, dnsReply{outcome: LookupEmpty}},
		{Question{Name: "_db._tcp.example", Type: RecordSRV}, dnsReply{LookupFound, RecordSet{Services: []ServiceRecord{{10, 5, "db.example", 5432}}}, time.Minute, ""}},
		{Question{Name: "_none._tcp.example", Type: RecordSRV}, dnsReply{LookupEmpty, RecordSet{}, time.Minute, ""}},
	} {
		if got := servers.lookup(t.Context(), test.question); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: got %+v\nwant %+v", test.question, got, test.want)
		}
	}
	if got := servers.lookup(t.Context(), Question{Name: "many.example", Type: RecordA}); got.outcome != LookupFound || len(got.records.Addresses) != 200 {
		t.Errorf("%v, %d addresses of 200", got.outcome, len(got.records.Addresses))
	}
}

func TestLookupGoesOnToTheNextServer(t *testing.T) {
	good := probetest.NameServer(t, probetest.AnswersBy(t, probetest.Holding(map[string][]string{"db.example. A": {"db.example. 60 IN A 192.0.2.9"}})), probetest.Silence)
	bad := func(answer func([]byte) [][]byte) netip.AddrPort {
		return probetest.NameServer(t, answer, probetest.Aborting(probetest.Silence))
	}
	lie := []string{"db.example. 60 IN A 203.0.113.66"}
	lying := func(string) (int, []string) { return 0, lie }
	for _, test := range []struct {
		name   string
		server netip.AddrPort
		// alone is the outcome if there is no other one.
		alone LookupOutcome
	}{
		{"SERVFAIL", bad(probetest.AnswersBy(t, probetest.WithCode(dns.RcodeServerFailure))), LookupServerFailure},
		{"REFUSED", bad(probetest.AnswersBy(t, probetest.WithCode(dns.RcodeRefused))), LookupRefused},
		{"FORMERR", bad(probetest.AnswersBy(t, probetest.WithCode(dns.RcodeFormatError))), LookupServerFailure},
		{"lame", bad(probetest.AnswersBy(t, probetest.WithCode(0), func(m *dns.Msg) { m.RecursionAvailable = false })), LookupRefused},
		{"silent", bad(func([]byte) [][]byte { return nil }), LookupTimeout},
		{"other identifier", bad(probetest.AnswersBy(t, lying, func(m *dns.Msg) { m.Id++ })), LookupInvalid},
		{"other question", bad(probetest.AnswersBy(t, lying, func(m *dns.Msg) { m.Question[0].Name = "other.example." })), LookupInvalid},
		{"no question", bad(probetest.AnswersBy(t, lying, func(m *dns.Msg) { m.Question = nil })), LookupInvalid},
		{"a query", bad(probetest.AnswersBy(t, lying, func(m *dns.Msg) { m.Response = false })), LookupInvalid},
		{"truncated, and no TCP", bad(probetest.AnswersBy(t, probetest.WithCode(0), func(m *dns.Msg) { m.Truncated = true })), LookupTimeout},
		{"nobody listens", probetest.Refusing(t), LookupTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			servers := newNameServers("", []netip.AddrPort{test.server, good})
			want := dnsReply{LookupFound, addresses("192.0.2.9"), time.Minute, ""}
			if got := servers.lookup(t.Context(), Question{Name: "db.example", Type: RecordA}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if first := servers.list()[0]; first != good {
				t.Errorf("the next lookup begins with %v, want the one that answered", first)
			}
			alone := newNameServers("", []netip.AddrPort{test.server})
			if got, want := alone.lookup(t.Context(), Question{Name: "db.example", Type: RecordA}), (dnsReply{outcome: test.alone}); !reflect.DeepEqual(got, want) {
				t.Errorf("alone: got %+v, want %+v", got, want)
			}
		})
	}
}

// A lost datagram, and an answer that is slow in coming.
func TestLookupTriesAgain(t *testing.T) {
	var queries atomic.Int32
	good := probetest.AnswersBy(t, probetest.Holding(map[string][]string{"db.example. A": {"db.example. 60 IN A 192.0.2.9"}}))
	server := probetest.NameServer(t, func(query []byte) [][]byte {
		if queries.Add(1) == 1 {
			return nil
		}
		time.Sleep(tries[0] + 100*time.Millisecond) // too slow for the first try
		return good(query)
	}, probetest.Silence)
	if got := newNameServers("", []netip.AddrPort{server}).lookup(t.Context(), Question{Name: "db.example", Type: RecordA}); got.outcome != LookupFound || queries.Load() != 2 {
		t.Errorf("%v after %d queries", got.outcome, queries.Load())
	}
}

func TestLookupsDifferInTheirPortsAndIdentifiers(t *testing.T) {
	ports, identifiers := map[string]bool{}, map[string]bool{}
	good, queries := probetest.AnswersBy(t, probetest.Holding(nil)), make(chan string, 100)
	server := probetest.NameServer(t, func(query []byte) [][]byte {
		queries <- string(query[:2])
		return good(query)
	}, probetest.Silence)
	servers := newNameServers("", []netip.AddrPort{server})
	for range 20 {
		conn, err := socket.OpenDatagrams(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		ports[conn.LocalAddr().String()] = true
		conn.Close()
		servers.lookup(t.Context(), Question{Name: "db.example", Type: RecordA})
		identifiers[<-queries] = true
	}
	if len(ports) < 10 || len(identifiers) < 15 {
		t.Errorf("%d ports and %d identifiers in 20 lookups", len(ports), len(identifiers))
	}
}

func TestResolvConf(t *testing.T) {
	got := parseResolvConf([]byte("# comment\nsearch a.example b.example\nnameserver 10.96.0.10\n nameserver\t2001:db8::53 # first\nnameserver fe80::1%eth0\nnameserver none\nnameserver\noptions ndots:5\n"))
	want := []netip.AddrPort{netip.MustParseAddrPort("10.96.0.10:53"), netip.MustParseAddrPort("[2001:db8::53]:53"), netip.MustParseAddrPort("[fe80::1%eth0]:53")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNameServersFollowTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	servers := newNameServers(file, nil)
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for _, server := range servers.list() {
			got = append(got, server.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("127.0.0.1:53") // resolv.conf(5)
	write("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
	expect("192.0.2.1:53", "192.0.2.2:53")
	servers.prefer(netip.MustParseAddrPort("192.0.2.2:53"))
	expect("192.0.2.2:53", "192.0.2.1:53")
	write("nameserver 192.0.2.33\n")
	expect("192.0.2.33:53")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect("192.0.2.33:53")
	if fixed := newNameServers(file, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:5353")}); fixed.list()[0].Port() != 5353 {
		t.Error("the file counts although servers are given")
	}
}
