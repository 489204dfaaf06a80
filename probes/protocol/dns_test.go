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
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/test/servers"
)

// replying answers a query with these records, once the test has changed the message.
func replying(records int, change ...func(*dnsmessage.Message)) func([]byte) [][]byte {
	return func(query []byte) [][]byte {
		var message dnsmessage.Message
		if err := message.Unpack(query); err != nil {
			return nil
		}
		message.Response, message.Additionals = true, nil
		for i := range records {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, byte(i)}},
			})
		}
		for _, change := range change {
			change(&message)
		}
		answer, err := message.Pack()
		if err != nil {
			panic(err)
		}
		return [][]byte{answer}
	}
}

func code(code dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.RCode = code }
}

func truncated(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil }

// ahead sends these datagrams ahead of the answer.
func ahead(datagrams [][]byte, answer func([]byte) [][]byte) func([]byte) [][]byte {
	return func(query []byte) [][]byte {
		return append(datagrams[:len(datagrams):len(datagrams)], answer(query)...)
	}
}

func TestDNSProbe(t *testing.T) {
	good := replying(1)
	nothing := func([]byte) [][]byte { return nil }
	bytes := func(text string) func([]byte) [][]byte {
		return func(query []byte) [][]byte { return [][]byte{append(query[:2:2], text...)} }
	}
	stray := [][]byte{nil, []byte("x"), []byte(strings.Repeat("stray", 200))}
	flood := make([][]byte, 2*resolver.MaxStrays)
	otherQuestion := func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeAAAA }
	capitals := func(m *dnsmessage.Message) {
		m.Questions[0].Name = dnsmessage.MustNewName(strings.ToUpper(m.Questions[0].Name.String()))
	}
	noQuestion := func(m *dnsmessage.Message) { m.Questions = nil }
	for _, test := range []struct {
		name    string
		udp     func([]byte) [][]byte
		tcp     func(net.Conn)
		query   string
		timeout time.Duration
		want    probes.Result
	}{
		{"one record", good, probetest.Aborting(probetest.Silence), "", probetest.Ample, probes.SuccessResult()},
		{"in capitals", replying(1, capitals), probetest.Aborting(probetest.Silence), "", probetest.Ample, probes.SuccessResult()},
		{"by TCP", nothing, probetest.ByTCP(good), " transport=TCP", probetest.Ample, probes.SuccessResult()},
		{"truncated", replying(1, truncated), probetest.ByTCP(replying(100)), "", probetest.Ample, probes.SuccessResult()},
		{"truncated, and nothing by TCP", replying(1, truncated), probetest.ByTCP(replying(0)), "", probetest.Ample, probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"truncated, and no TCP", replying(1, truncated), probetest.Aborting(probetest.Silence), "", probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"truncated by TCP, too", replying(1, truncated), probetest.ByTCP(replying(1, truncated)), "", probetest.Ample, probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"2,000 records by TCP", nothing, probetest.ByTCP(replying(2000)), " transport=TCP", probetest.Ample, probes.SuccessResult()},
		{"behind strays", ahead(stray, good), probetest.Silence, "", probetest.Ample, probes.SuccessResult()},

		{"no record", replying(0), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonDNSNoRecords)},
		{"NXDOMAIN", replying(0, code(dnsmessage.RCodeNameError)), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonDNSNameNotFound)},
		{"SERVFAIL", replying(0, code(dnsmessage.RCodeServerFailure)), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonDNSServerFailure)},
		{"SERVFAIL without the question", replying(0, code(dnsmessage.RCodeServerFailure), noQuestion), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonDNSServerFailure)},
		{"REFUSED", replying(0, code(dnsmessage.RCodeRefused)), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonDNSRefused)},
		{"REFUSED by TCP", nothing, probetest.ByTCP(replying(0, code(dnsmessage.RCodeRefused))), " transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonDNSRefused)},
		{"NOTIMP", replying(0, code(dnsmessage.RCodeNotImplemented)), probetest.Silence, "", probetest.Ample, probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 4}},

		{"silent", nothing, probetest.Silence, "", probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"silent by TCP", nothing, probetest.Silence, " transport=TCP", probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"closes", nothing, probetest.Closing(probetest.Silence), " transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"closes in the answer", nothing, probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x40\x00\x00") }), " transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"other question", replying(1, otherQuestion), probetest.Silence, "", probetest.Brief, probes.FailureResult(probes.ReasonProtocol)},
		{"other question by TCP", nothing, probetest.ByTCP(replying(1, otherQuestion)), " transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"echo", func(query []byte) [][]byte { return [][]byte{query} }, probetest.Silence, "", probetest.Brief, probes.FailureResult(probes.ReasonProtocol)},
		{"garbage", bytes("garbage, garbage, garbage"), probetest.Silence, "", probetest.Brief, probes.FailureResult(probes.ReasonProtocol)},
		{"another protocol", nothing, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail ready\r\n"+strings.Repeat("-", 64<<10)) }, " transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"flood of strays", ahead(flood, good), probetest.Silence, "", probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"drip", nothing, func(conn net.Conn) { probetest.Drip(conn, "\xff\xff", "x") }, " transport=TCP", probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := probetest.NameServer(t, test.udp, test.tcp)
			def := Definition{URL: "dns:///www.example.com" + test.query, Address: server.Addr(), UDPPort: server.Port()}
			if got := result(t, def, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDNSProbeQuestions(t *testing.T) {
	queries := make(chan dnsmessage.Message, 1)
	server := probetest.NameServer(t, func(query []byte) [][]byte {
		var msg dnsmessage.Message
		if err := msg.Unpack(query); err != nil {
			t.Errorf("%x: %v", query, err)
		}
		queries <- msg
		return replying(1, func(m *dnsmessage.Message) {
			kind := m.Questions[0].Type
			m.Answers[0].Header.Type, m.Answers[0].Body = kind, &dnsmessage.UnknownResource{Type: kind, Data: []byte{0}}
		})(query)
	}, probetest.Silence)
	for _, test := range []struct{ path, want string }{
		{"www.example.com", "www.example.com. TypeA"},
		{"WWW.Example.com. type=AAAA", "www.example.com. TypeAAAA"},
		{"_postgresql._tcp.example type=SRV", "_postgresql._tcp.example. TypeSRV"},
		{"1.2.0.192.in-addr.arpa type=PTR", "1.2.0.192.in-addr.arpa. TypePTR"},
		{"*.example type=TXT", "*.example. TypeTXT"},
		{". type=NS", ". TypeNS"},
		{"example type=HTTPS", "example. TypeHTTPS"},
	} {
		if got := result(t, Definition{URL: fmt.Sprintf("dns://%s/%s", server, test.path)}, probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("%s: got %+v", test.path, got)
		}
		msg := <-queries
		question := msg.Questions[0]
		if got := question.Name.String() + " " + question.Type.String(); got != test.want || !msg.RecursionDesired || len(msg.Questions) != 1 {
			t.Errorf("%s: asked for %s, want %s", test.path, got, test.want)
		}
	}
}

func TestDNSProbePorts(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.10")
	for _, test := range []struct {
		url      string
		tcp, udp uint16
		want     string
	}{
		{"dns:///a", 5300, 53, "192.0.2.10:53"},
		{"dns:///a", 5300, 0, "192.0.2.10:5300"},
		{"dns:///a transport=TCP", 5300, 53, "192.0.2.10:5300"},
		{"dns:///a transport=TCP", 0, 53, "192.0.2.10:53"},
		{"dns://:5353/a transport=UDP", 5300, 53, "192.0.2.10:5353"},
	} {
		prober := prepare(t, Definition{URL: test.url, Address: v4, Port: test.tcp, UDPPort: test.udp}).(*dnsProber)
		if got := prober.to.String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.url, got, test.want)
		}
	}
}

func TestDNSProbeOfNowhere(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		def := Definition{URL: "dns://" + probetest.Refusing(t).String() + "/a"}
		if got, want := result(t, def, probetest.Ample), probes.FailureResult(probes.ReasonConnectionRefused); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("name that leads to a refused address", func(t *testing.T) {
		resolving(t, always("169.254.169.254"))
		if got, want := result(t, Definition{URL: "dns://ns.example:53/a"}, probetest.Ample), probes.FailureResult(probes.ReasonAddressRefused); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		queried := make(chan struct{})
		server := probetest.NameServer(t, func([]byte) [][]byte { close(queried); return nil }, probetest.Silence)
		testCanceled(t, Definition{URL: "dns://" + server.String() + "/a"}, queried)
	})
}

func TestDNSProbeOfDnsmasq(t *testing.T) {
	server := servers.NewDnsmasq(t, 60, "--srv-host=_ldap._tcp.example,www.example,389")
	server.Hold(append(servers.Addresses("many.example", 200), "192.0.2.1 www.example")...)
	server.Start()
	addr := server.Address()
	probe := func(name string, timeout time.Duration, want probes.Result) {
		t.Helper()
		if got := result(t, Definition{URL: "dns://" + addr.String() + "/" + name}, timeout); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	probe("www.example", probetest.Ample, probes.SuccessResult())
	probe("www.example transport=TCP", probetest.Ample, probes.SuccessResult())
	probe("_ldap._tcp.example type=SRV", probetest.Ample, probes.SuccessResult())
	probe("many.example", probetest.Ample, probes.SuccessResult()) // 3 KB
	probe("www.example type=AAAA", probetest.Ample, probes.FailureResult(probes.ReasonDNSNoRecords))
	probe("missing.example", probetest.Ample, probes.FailureResult(probes.ReasonDNSNameNotFound))
	probe("elsewhere.test", probetest.Ample, probes.FailureResult(probes.ReasonDNSRefused))
	server.Freeze()
	probe("www.example", probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	probe("www.example transport=TCP", probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	server.Thaw()
	probe("www.example", probetest.Ample, probes.SuccessResult())
	server.Stop()
	probe("www.example", probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused))
	probe("www.example transport=TCP", probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused))
}

// FuzzDNSAnswer: whatever a server sends, reading it ends, without a panic, and only an
// answer to the question counts.
func FuzzDNSAnswer(f *testing.F) {
	prober := prepare(f, Definition{URL: "dns://192.0.2.1:53/www.example.com"}).(*dnsProber)
	for _, answer := range [][]byte{
		replying(1)(prober.query)[0], replying(0, code(dnsmessage.RCodeRefused))(prober.query)[0],
		replying(3, truncated)(prober.query)[0], prober.query, nil,
	} {
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if !resolver.IsAnswerTo(prober.query, answer) {
			return
		}
		read, err := readAnswer(answer, prober.question)
		if err != nil || !read.hasRecord {
			return
		}
		var whole dns.Msg
		if whole.Unpack(answer) != nil {
			return // cut off behind the record
		}
		isRecord := func(record dns.RR) bool { return record.Header().Rrtype == dns.TypeA }
		if !slices.ContainsFunc(whole.Answer, isRecord) {
			t.Errorf("%x passes without a record of the type", answer)
		}
	})
}

func benchmarkDNSProbe(b *testing.B) {
	server := probetest.NameServer(b, replying(1), probetest.Silence)
	benchmark(b, Definition{URL: "dns://" + server.String() + "/www.example.com"})
}
