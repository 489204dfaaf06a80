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
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/test/servers"
)

// zoneServer answers every question by UDP and TCP with a message of these records, as in a
// zone file, over which change has the last word. Long answers are truncated by UDP.
func zoneServer(t testing.TB, change func(*dns.Msg), records ...string) string {
	t.Helper()
	var answers []dns.RR
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, record)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		reply.Compress = true
		for _, answer := range answers { // by UDP and by TCP at one time: change is not to see the other's
			reply.Answer = append(reply.Answer, dns.Copy(answer))
		}
		if change != nil {
			change(reply)
		}
		if _, byUDP := w.RemoteAddr().(*net.UDPAddr); byUDP {
			reply.Truncate(resolver.MaxDatagram)
		}
		_ = w.WriteMsg(reply)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{Listener: listener, Handler: handler}, {PacketConn: conn, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			_ = server.Shutdown()
			if err := <-ended; err != nil {
				t.Errorf("the name server ended with %v", err)
			}
		})
	}
	return listener.Addr().String()
}

// aliasChain leads from www.example.com over so many CNAME records to an address.
func aliasChain(length int) []string {
	names := []string{"www.example.com"}
	var records []string
	for i := range length {
		names = append(names, fmt.Sprintf("a%d.example.com", i+1))
		records = append(records, fmt.Sprintf("%s. 60 IN CNAME %s.", names[i], names[i+1]))
	}
	return append(records, names[length]+". 60 IN A 192.0.2.1")
}

func reversed(records []string) []string {
	records = slices.Clone(records)
	slices.Reverse(records)
	return records
}

const addressRecord, aliasRecord = "www.example.com. 60 IN A 192.0.2.1", "www.example.com. 60 IN CNAME lb.example.net."

var noRecords = probes.FailureResult(probes.ReasonDNSNoRecords)

type answerCase struct {
	name    string
	kind    string
	change  func(*dns.Msg)
	records []string
	want    probes.Result
}

func checkAnswers(t *testing.T, cases []answerCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			server := zoneServer(t, test.change, test.records...)
			for _, query := range []string{"", " transport=TCP"} {
				def := Definition{URL: "dns://" + server + "/www.example.com type=" + test.kind + query}
				if got := result(t, def, probetest.Ample); got != test.want {
					t.Errorf("%s: got %+v, want %+v", query, got, test.want)
				}
			}
		})
	}
}

func TestDNSProbe_RecordsOfTheAnswer_DecideByTypeAndName(t *testing.T) {
	otherCase := func(m *dns.Msg) { m.Answer[0].Header().Name = "WwW.eXample.COM." }
	otherClass := func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS }
	elsewhere := func(m *dns.Msg) { m.Ns, m.Extra, m.Answer = m.Answer, m.Answer, nil }
	checkAnswers(t, []answerCase{
		{"the record", "A", nil, []string{addressRecord}, probes.SuccessResult()},
		{"the record in other case", "A", otherCase, []string{addressRecord}, probes.SuccessResult()},
		{"the record behind others", "A", nil, []string{"other.example.com. 60 IN A 192.0.2.9", "www.example.com. 60 IN TXT x", addressRecord}, probes.SuccessResult()},
		{"another name", "A", nil, []string{"other.example.com. 60 IN A 192.0.2.1"}, noRecords},
		{"the parent", "A", nil, []string{"example.com. 60 IN A 192.0.2.1"}, noRecords},
		{"the wildcard itself", "A", nil, []string{"*.example.com. 60 IN A 192.0.2.1"}, noRecords},
		{"another type", "A", nil, []string{"www.example.com. 60 IN AAAA 2001:db8::1"}, noRecords},
		{"TXT for AAAA", "AAAA", nil, []string{"www.example.com. 60 IN TXT ok"}, noRecords},
		{"A for AAAA", "AAAA", nil, []string{addressRecord}, noRecords},
		{"SOA for MX", "MX", nil, []string{"www.example.com. 60 IN SOA ns.example.com. me.example.com. 1 2 3 4 5"}, noRecords},
		{"another class", "A", otherClass, []string{addressRecord}, noRecords},
		{"the other sections", "A", elsewhere, []string{addressRecord}, noRecords},
	})
}

func TestDNSProbe_AliasesInTheAnswer_AreFollowed(t *testing.T) {
	checkAnswers(t, []answerCase{
		{"alias with the record", "A", nil, []string{aliasRecord, "lb.example.net. 60 IN A 192.0.2.1"}, probes.SuccessResult()},
		{"alias in other case", "A", nil, []string{aliasRecord, "LB.Example.NET. 60 IN A 192.0.2.1"}, probes.SuccessResult()},
		{"alias behind the record", "A", nil, []string{"lb.example.net. 60 IN A 192.0.2.1", aliasRecord}, probes.SuccessResult()},
		{"alias alone", "A", nil, []string{aliasRecord}, noRecords},
		{"alias of another type", "A", nil, []string{aliasRecord, "lb.example.net. 60 IN AAAA 2001:db8::1"}, noRecords},
		{"alias, and the record of a stranger", "A", nil, []string{aliasRecord, "stranger.example.net. 60 IN A 192.0.2.1"}, noRecords},
		{"alias of a stranger", "A", nil, []string{"stranger.example.com. 60 IN CNAME lb.example.net.", "lb.example.net. 60 IN A 192.0.2.1"}, noRecords},
		{"alias of itself", "A", nil, []string{"www.example.com. 60 IN CNAME www.example.com."}, noRecords},
		{"aliases in a circle", "A", nil, []string{aliasRecord, "lb.example.net. 60 IN CNAME www.example.com."}, noRecords},
		{"alias by DNAME", "A", nil, []string{"example.com. 60 IN DNAME example.net.", "www.example.com. 60 IN CNAME www.example.net.", "www.example.net. 60 IN A 192.0.2.1"}, probes.SuccessResult()},
		{"DNAME alone", "A", nil, []string{"example.com. 60 IN DNAME example.net."}, noRecords},
		{"ten aliases", "A", nil, aliasChain(10), probes.SuccessResult()},
		{"ten aliases the other way round", "A", nil, reversed(aliasChain(10)), probes.SuccessResult()},
		{"forty aliases", "A", nil, aliasChain(40), noRecords},
		{"alias for CNAME", "CNAME", nil, []string{aliasRecord}, probes.SuccessResult()},
		{"alias of another name for CNAME", "CNAME", nil, []string{"lb.example.net. 60 IN CNAME www.example.com."}, noRecords},
		{"address for CNAME", "CNAME", nil, []string{addressRecord}, noRecords},
		{"MX by an alias", "MX", nil, []string{aliasRecord, "lb.example.net. 60 IN MX 10 mail.example.net."}, probes.SuccessResult()},
	})
}

func TestDNSProbe_LongAnswer_IsReadWhole(t *testing.T) {
	many := slices.Repeat([]string{"other.example.com. 60 IN A 192.0.2.9"}, 500)
	checkAnswers(t, []answerCase{
		{"truncated by UDP", "A", nil, append(many[:100:100], addressRecord), probes.SuccessResult()},
		{"behind 10 KB", "A", nil, append(slices.Clone(many), addressRecord), probes.SuccessResult()},
		{"10 KB of strangers", "A", nil, many, noRecords},
	})
}

func TestDNSProbe_EveryType_PassesByItsOwnRecord(t *testing.T) {
	data := map[string]string{
		"A": "192.0.2.1", "AAAA": "2001:db8::1", "CAA": `0 issue "ca.example.net"`, "CNAME": "lb.example.net.", "HTTPS": "1 .",
		"MX": "10 mail.example.net.", "NAPTR": `10 10 "u" "sip" "!^.*$!sip:a@example.com!" .`, "NS": "ns.example.net.", "PTR": "host.example.net.",
		"SOA": "ns.example.net. me.example.net. 1 2 3 4 5", "SRV": "0 0 80 host.example.net.", "SVCB": "1 .", "TXT": "ok",
	}
	for kind := range recordTypes {
		server := zoneServer(t, nil, "www.example.com. 60 IN "+kind+" "+data[kind])
		for other := range recordTypes {
			want := probes.FailureResult(probes.ReasonDNSNoRecords)
			if other == kind {
				want = probes.SuccessResult()
			}
			if got := result(t, Definition{URL: "dns://" + server + "/www.example.com type=" + other}, probetest.Ample); got != want {
				t.Errorf("%s asked for, %s answered: got %+v, want %+v", other, kind, got, want)
			}
		}
	}
}

func TestDNSProbe_AliasesOfDnsmasq_AreFollowed(t *testing.T) {
	server := servers.NewDnsmasq(t, 60, "--cname=alias.example,www.example", "--cname=outside.example,www.elsewhere.test",
		"--txt-record=text.example,hello", "--address=/wild.example/192.0.2.7")
	server.Hold("192.0.2.1 www.example", "2001:db8::1 six.example")
	server.Start()
	for _, test := range []struct {
		question string
		want     probes.Result
	}{
		{"www.example", probes.SuccessResult()},
		{"WWW.Example", probes.SuccessResult()},
		{"alias.example", probes.SuccessResult()},
		{"alias.example type=CNAME", probes.SuccessResult()},
		{"alias.example type=AAAA", probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"outside.example", probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"outside.example type=CNAME", probes.SuccessResult()},
		{"www.example type=CNAME", probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"six.example", probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"six.example type=AAAA", probes.SuccessResult()},
		{"text.example type=TXT", probes.SuccessResult()},
		{"text.example", probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"any.wild.example", probes.SuccessResult()},
	} {
		if got := result(t, Definition{URL: "dns://" + server.Address().String() + "/" + test.question}, probetest.Ample); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.question, got, test.want)
		}
	}
}
