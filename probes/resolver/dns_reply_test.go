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
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"farpoint.dev/farpoint/probes/probetest"
)

func addresses(texts ...string) RecordSet {
	var set RecordSet
	for _, text := range texts {
		set.Addresses = append(set.Addresses, netip.MustParseAddr(text))
	}
	return set
}

func TestReadReply(t *testing.T) {
	a, aaaa := Question{Name: "db.example", Type: RecordA}, Question{Name: "db.example", Type: RecordAAAA}
	service := Question{Name: "_db._tcp.example", Type: RecordSRV}
	chain := func(length int) []string {
		records := []string{fmt.Sprintf("a%d.example. 60 IN A 192.0.2.1", length)}
		for i := range length {
			records = append(records, fmt.Sprintf("%s. 60 IN CNAME a%d.example.", map[bool]string{true: "db.example", false: fmt.Sprintf("a%d.example", i)}[i == 0], i+1))
		}
		return records
	}
	for _, test := range []struct {
		name     string
		question Question
		message  []byte
		want     dnsReply
	}{
		{"addresses, sorted and once", a, probetest.Message(t, 0, nil, "db.example. 60 IN A 192.0.2.9", "db.example. 60 IN A 192.0.2.10", "db.example. 50 IN A 192.0.2.9"),
			dnsReply{LookupFound, addresses("192.0.2.9", "192.0.2.10"), 50 * time.Second, ""}},
		{"in capitals", a, probetest.Message(t, 0, nil, "DB.Example. 60 IN A 192.0.2.9"), dnsReply{LookupFound, addresses("192.0.2.9"), time.Minute, ""}},
		{"IPv6", aaaa, probetest.Message(t, 0, nil, "db.example. 60 IN AAAA 2001:db8::1"), dnsReply{LookupFound, addresses("2001:db8::1"), time.Minute, ""}},
		{"of somebody else", a, probetest.Message(t, 0, nil, "other.example. 60 IN A 192.0.2.9", "--", probetest.SOA), dnsReply{LookupEmpty, RecordSet{}, 30 * time.Second, ""}},
		{"of another type", aaaa, probetest.Message(t, 0, nil, "db.example. 60 IN A 192.0.2.9", "--", probetest.SOA), dnsReply{LookupEmpty, RecordSet{}, 30 * time.Second, ""}},
		{"of another class", a, probetest.Message(t, 0, nil, "db.example. 60 CH A 192.0.2.9", "--", probetest.SOA), dnsReply{LookupEmpty, RecordSet{}, 30 * time.Second, ""}},
		{"alias", a, probetest.Message(t, 0, nil, "db.example. 20 IN CNAME lb.example.", "lb.example. 60 IN A 192.0.2.9"), dnsReply{LookupFound, addresses("192.0.2.9"), 20 * time.Second, ""}},
		{"aliases in any order", a, probetest.Message(t, 0, nil, chain(8)...), dnsReply{LookupFound, addresses("192.0.2.1"), time.Minute, ""}},
		{"alias to ask for", a, probetest.Message(t, 0, nil, "db.example. 20 IN CNAME lb.example."), dnsReply{LookupPending, RecordSet{}, 20 * time.Second, "lb.example"}},
		{"alias without an address", a, probetest.Message(t, 0, nil, "db.example. 20 IN CNAME lb.example.", "--", probetest.SOA), dnsReply{LookupEmpty, RecordSet{}, 20 * time.Second, ""}},
		{"alias of itself", a, probetest.Message(t, 0, nil, "db.example. 20 IN CNAME db.example."), dnsReply{outcome: LookupAliasLoop}},
		{"two aliases of each other", a, probetest.Message(t, 0, nil, "db.example. 20 IN CNAME lb.example.", "lb.example. 20 IN CNAME db.example."), dnsReply{outcome: LookupAliasLoop}},
		{"too many aliases", a, probetest.Message(t, 0, nil, chain(MaxAliases)...), dnsReply{outcome: LookupAliasLoop}},
		{"no such name", a, probetest.Message(t, dns.RcodeNameError, nil, "--", probetest.SOA), dnsReply{LookupMissing, RecordSet{}, 30 * time.Second, ""}},
		{"alias of no such name", a, probetest.Message(t, dns.RcodeNameError, nil, "db.example. 20 IN CNAME lb.example.", "--", probetest.SOA), dnsReply{LookupMissing, RecordSet{}, 20 * time.Second, ""}},
		{"no SOA", a, probetest.Message(t, 0, nil), dnsReply{outcome: LookupEmpty}},
		{"a server that is lame", a, probetest.Message(t, 0, func(m *dns.Msg) { m.RecursionAvailable = false }, "--", "example. 60 IN NS ns.example."), dnsReply{outcome: LookupRefused}},
		{"SERVFAIL", a, probetest.Message(t, dns.RcodeServerFailure, nil), dnsReply{outcome: LookupServerFailure}},
		{"REFUSED", a, probetest.Message(t, dns.RcodeRefused, nil), dnsReply{outcome: LookupRefused}},
		{"NOTIMP", a, probetest.Message(t, dns.RcodeNotImplemented, nil), dnsReply{outcome: LookupServerFailure}},
		{"truncated", a, probetest.Message(t, 0, func(m *dns.Msg) { m.Truncated = true }, "db.example. 60 IN A 192.0.2.9"), dnsReply{outcome: LookupInvalid}},
		{"cut off", a, probetest.Message(t, 0, nil, "db.example. 60 IN A 192.0.2.9")[:20], dnsReply{outcome: LookupInvalid}},
		{"no message", a, []byte("garbage"), dnsReply{outcome: LookupInvalid}},
		{"TTL beyond all bounds", a, probetest.Message(t, 0, nil, "db.example. 4294967295 IN A 192.0.2.9"), dnsReply{LookupFound, addresses("192.0.2.9"), 0, ""}},
		{"services", service, probetest.Message(t, 0, nil, "_db._tcp.example. 60 IN SRV 20 0 5432 b.example.", "_db._tcp.example. 60 IN SRV 10 5 5433 A.example."),
			dnsReply{LookupFound, RecordSet{Services: []ServiceRecord{{10, 5, "a.example", 5433}, {20, 0, "b.example", 5432}}}, time.Minute, ""}},
		{"no service", service, probetest.Message(t, 0, nil, "_db._tcp.example. 60 IN SRV 0 0 0 ."), dnsReply{LookupEmpty, RecordSet{}, time.Minute, ""}},
		{"services of what are no hosts", service, probetest.Message(t, 0, nil, `_db._tcp.example. 60 IN SRV 0 0 1 a\013\010x.example.`, "_db._tcp.example. 60 IN SRV 0 0 1 192.0.2.1."), dnsReply{LookupEmpty, RecordSet{}, time.Minute, ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := readReply(test.message, test.question); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestReadReplyOfManyRecords(t *testing.T) {
	var records []string
	for i := range 2000 {
		records = append(records, fmt.Sprintf("db.example. 60 IN A 10.0.%d.%d", i/256, i%256))
	}
	got := readReply(probetest.Message(t, 0, nil, records...), Question{Name: "db.example", Type: RecordA})
	if len(got.records.Addresses) != MaxRecords || got.records.Addresses[MaxRecords-1] != netip.MustParseAddr("10.0.3.231") {
		t.Errorf("%d addresses, the last one %v", len(got.records.Addresses), got.records.Addresses[len(got.records.Addresses)-1])
	}
}

// FuzzReadReply: whatever a server sends, reading it ends, without a panic, in a reply that
// makes sense.
func FuzzReadReply(f *testing.F) {
	for _, records := range [][]string{
		{"db.example. 60 IN A 192.0.2.9"}, {"db.example. 20 IN CNAME lb.example.", "lb.example. 60 IN AAAA 2001:db8::1"},
		{"db.example. 60 IN SRV 20 0 5432 b.example."}, {"--", probetest.SOA}, {"db.example. 20 IN CNAME db.example."},
	} {
		f.Add(probetest.Message(f, 0, nil, records...), uint16(RecordA))
		f.Add(probetest.Message(f, dns.RcodeNameError, nil, records...), uint16(RecordSRV))
	}
	f.Fuzz(func(t *testing.T, message []byte, kind uint16) {
		kinds := []RecordType{RecordA, RecordAAAA, RecordSRV}
		question := Question{Name: "db.example", Type: kinds[int(kind)%len(kinds)]}
		got := readReply(message, question)
		switch {
		case got.ttl < 0 || got.ttl > maxTTL:
			t.Errorf("a TTL of %v", got.ttl)
		case (got.outcome == LookupFound) == got.records.empty():
			t.Errorf("%v with %+v", got.outcome, got.records)
		case (got.outcome == LookupPending) != (got.alias != ""):
			t.Errorf("%v with the alias %q", got.outcome, got.alias)
		}
		for _, record := range got.records.Services {
			if strings.ContainsAny(record.Target, " \r\n:/") || !IsHostName(record.Target) {
				t.Errorf("%q is a target", record.Target)
			}
		}
		for _, address := range got.records.Addresses {
			if address.Is4() != (question.Type == RecordA) || address.Zone() != "" {
				t.Errorf("%v answers for %v", address, question.Type)
			}
		}
	})
}
