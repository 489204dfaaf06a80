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
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// atName is a definition of a probe of that endpoint, to which a name led.
func atName(name string, endpoint netip.AddrPort, url string) Definition {
	def := at(endpoint, url)
	def.Name = name
	return def
}

// The address that a name led to is connected to, and spoken to by the name. Nothing of it
// resolves.
func TestProbesCallAnAddressByItsName(t *testing.T) {
	resolving(t, always("192.0.2.66"))
	requests := make(chan string, 1)
	web := probetest.Serve(t, func(conn net.Conn) {
		requests <- probetest.ReadRequest(conn)
		_, _ = conn.Write([]byte(probetest.Well))
	})
	port := web.String()[strings.LastIndex(web.String(), ":"):]
	for _, test := range []struct{ url, host string }{
		{"http:///", "legacy.example" + port},
		{"http://legacy.example/", "legacy.example" + port},
		{"http://Legacy.Example./", "legacy.example" + port},
		{"http://legacy.example" + port + "/", "legacy.example" + port},
		{"http://127.0.0.1/", web.String()},
	} {
		if got := probeOnce(t, prepare(t, atName("legacy.example", web, test.url)), probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("%s: %+v", test.url, got)
			continue
		}
		if request := <-requests; !strings.Contains(request, "\r\nHost: "+test.host+"\r\n") {
			t.Errorf("%s: got %q, want the host %s", test.url, request, test.host)
		}
	}
	set := atName("legacy.example", web, "http:///")
	set.HTTP = &HTTPSettings{Host: "www.example"}
	if got := probeOnce(t, prepare(t, set), probetest.Ample); got != probes.SuccessResult() || !strings.Contains(<-requests, "\r\nHost: www.example\r\n") {
		t.Errorf("healthCheck.http.host does not count: %+v", got)
	}
}

func TestProbesOfIPv6CallItByItsName(t *testing.T) {
	prober := prepare(t, Definition{URL: "http:///", Address: netip.MustParseAddr("2001:db8::10"), Port: 80, Name: "legacy.example"})
	if request := string(prober.(*httpProber).first.request); !strings.Contains(request, "\r\nHost: legacy.example\r\n") {
		t.Errorf("%q", request)
	}
}

func TestProbesVerifyTheNameOfAnAddress(t *testing.T) {
	ca := probetest.NewAuthority(t)
	names := make(chan string, 1)
	server := func() netip.AddrPort {
		config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName
			return nil, nil
		}}
		return probetest.Serve(t, probetest.Secure(config, probetest.Responding(probetest.Well)))
	}
	for _, url := range []string{"https:///", "tls://"} {
		for name, want := range map[string]probes.Result{"legacy.example": probes.SuccessResult(), "other.example": probes.FailureResult(probes.ReasonCertificate)} {
			def := atName(name, server(), url)
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			if got := probeOnce(t, prepare(t, def), probetest.Ample); got != want {
				t.Errorf("%s, %s: got %+v, want %+v", url, name, got, want)
			}
			if got := <-names; got != name {
				t.Errorf("%s, %s: SNI %q", url, name, got)
			}
		}
	}
}

// A redirect to the name leads to the same address, not to another one of the name's.
func TestRedirectToTheNameStaysAtTheAddress(t *testing.T) {
	resolving(t, always("192.0.2.66"))
	requests := make(chan string, 2)
	web := probetest.Serve(t, func(conn net.Conn) {
		request := probetest.ReadRequest(conn)
		requests <- request
		if strings.HasPrefix(request, "GET / ") {
			host := strings.SplitN(request[strings.Index(request, "Host: ")+6:], "\r\n", 2)[0]
			_, _ = conn.Write([]byte("HTTP/1.1 302 Found\r\nLocation: http://" + host + "/login\r\nContent-Length: 0\r\n\r\n"))
			return
		}
		_, _ = conn.Write([]byte(probetest.Well))
	})
	def := atName("legacy.example", web, "http:///")
	def.HTTP = &HTTPSettings{FollowRedirects: true}
	if got := probeOnce(t, prepare(t, def), probetest.Ample); got != probes.SuccessResult() {
		t.Fatalf("%+v", got)
	}
	<-requests
	if second := <-requests; !strings.HasPrefix(second, "GET /login ") || !strings.Contains(second, "Host: legacy.example:") {
		t.Errorf("%q", second)
	}
}

// The host of another name is where the probe goes, whatever the endpoint's address.
func TestURLWithAnotherNameLeadsThere(t *testing.T) {
	resolving(t, always("127.0.0.1"))
	web := probetest.Serve(t, probetest.Responding(probetest.Well))
	elsewhere := atName("db.example", netip.AddrPortFrom(netip.MustParseAddr("192.0.2.66"), web.Port()), "http://health.example./")
	if got := probeOnce(t, prepare(t, elsewhere), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("%+v", got)
	}
}

// An endpoint that is nothing but a name is wherever that leads, by the name servers that
// the administrator gives, and no search path.
func TestProbesOfANameByGivenNameServers(t *testing.T) {
	web := probetest.Serve(t, probetest.Responding(probetest.Well))
	refusing := probetest.Refusing(t)
	questions := make(chan string, 100)
	good := probetest.NameServer(t, func(query []byte) [][]byte {
		return probetest.AnswersBy(t, func(question string) (int, []string) {
			questions <- question
			return probetest.Holding(map[string][]string{"legacy.example. A": {"legacy.example. 1 IN A 127.0.0.1"}, "legacy.example. AAAA": {"--", probetest.SOA}})(question)
		})(query)
	}, probetest.Silence)
	dialer := testDialer(loopback)
	dialer.ResolveBy([]netip.AddrPort{refusing, good})
	for name, want := range map[string]probes.Result{"legacy.example": probes.SuccessResult(), "missing.example": probes.UnknownResult(probes.ReasonNameResolution)} {
		prober, err := NewRegistry(dialer).New(Definition{URL: "http:///", Port: web.Port(), Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := probeOnce(t, prober, probetest.Ample); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for len(questions) > 0 {
		question := <-questions
		if name, _, _ := strings.Cut(question, " "); dns.CountLabel(name) != 2 {
			t.Errorf("asked for %s", question)
		}
	}
}
