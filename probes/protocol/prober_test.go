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
	"net/netip"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/transport"
)

func TestDefinitions(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	for _, test := range []struct {
		url  string
		addr netip.Addr
		port uint16
		want string
	}{
		{"http:///health", v4, 8080, "192.0.2.10:8080"},
		{"http://", v6, 8080, "[2001:db8::10]:8080"},
		{"HTTPS://:8443/", v4, 8080, "192.0.2.10:8443"},
		{"http://198.51.100.1/", v4, 8080, "198.51.100.1:8080"},
		{"http://198.51.100.1:9090/", v4, 8080, "198.51.100.1:9090"},
		{"tcp://[2001:DB8:0::1]:5432", v4, 0, "[2001:db8::1]:5432"},
		{"tcp://", v4, 5432, "192.0.2.10:5432"},
		{"tcp://Legacy.Example:5432", v4, 0, "legacy.example:5432"},
		{"tcp://legacy.example.:5432", netip.Addr{}, 0, "legacy.example.:5432"},
		{"tcp://a_b.10.example:1", v4, 0, "a_b.10.example:1"},
		{"tls://", v4, 443, "192.0.2.10:443"},
		{"tls://192.0.2.11", v4, 0, "192.0.2.11:443"},
		{"dns:///www.example.com", v4, 5300, "192.0.2.10:5300"},
		{"dns:///www.example.com", v4, 0, "192.0.2.10:53"},
		{"icmp://", v6, 8080, "[2001:db8::10]:0"}, // there are no ports
		{"GRPC://", v6, 50051, "[2001:db8::10]:50051"},
		{"grpcs://:443/ watch=true", v4, 50051, "192.0.2.10:443"},
	} {
		t.Run(test.url, func(t *testing.T) {
			var got transport.Destination
			switch p := prepare(t, Definition{URL: test.url, Address: test.addr, Port: test.port}).(type) {
			case *httpProber:
				got = p.first.to
			case *tcpProber:
				got = p.to
			case *tlsProber:
				got = p.to
			case *dnsProber:
				got = p.to
			case *icmpProber:
				got = p.to
			case *grpcProber:
				got = p.to
			case *grpcWatcher:
				got = p.to
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

const (
	noHost = "healthCheckURL has a host that is neither an address nor a DNS name"
	noPath = "tcp URLs take no path or fragment"
)

// refusedDefinitions are URLs that no prober is made for, and how the errors begin.
var refusedDefinitions = []struct{ url, want string }{
	{"", "healthCheckURL has no scheme: start it with one of dns://, grpc://, grpcs://, http://"},
	{"192.0.2.10", "healthCheckURL has no scheme"},
	{"192.0.2.10:80/health", "healthCheckURL cannot be parsed: write it as scheme://host:port/path"},
	{"ftp://192.0.2.10/", `healthCheckURL has the unknown scheme "ftp"`},
	{"http://user:s3cret@192.0.2.10/", "healthCheckURL contains a password"},
	{"http://s3cret@192.0.2.10/", "healthCheckURL contains a user, which http does not take from there"},
	{"tcp://s3cret@192.0.2.10:80", "healthCheckURL contains a user, which tcp does not take from there"},
	{"http://user:s3c/ret@192.0.2.10/", "healthCheckURL cannot be parsed"},
	{"http://user:s3cret%zz@192.0.2.10/", "healthCheckURL cannot be parsed: it has a %"},
	{"http://192.0.2.10/%zz", "healthCheckURL cannot be parsed: it has a %"},
	{"http://a b/", "healthCheckURL cannot be parsed: its host has a character"},
	{"http://2001:db8::1/", "healthCheckURL "},
	{"http:192.0.2.10", `healthCheckURL has no // after "http": write http://host:port`},
	{"tcp:192.0.2.10", `healthCheckURL has no // after "tcp": write tcp://host:port`},
	{"http://192.0.2.10/", "healthCheckURL has no port and the endpoint has no TCP port: write one, as in http://host:8080"},
	{"http://192.0.2.10:0/", "healthCheckURL has a port out of range"},
	{"http://192.0.2.10:70000/", "healthCheckURL has a port out of range"},
	{"http://10.300.1.10:80/", noHost},
	{"http://bücher.example:80/", noHost},
	{"http://-.a..b:80/", noHost},
	{"http://a$b:80/", noHost},
	{"http://" + strings.Repeat("a", 64) + ".example:80/", noHost},
	{"http://" + strings.Repeat("a.", 127) + "b:80/", noHost},
	{"http://[2001:db8::1%25eth0]:80/", "healthCheckURL has an address with a zone"},
	{"http://192.0.2.10:80/?a b", "healthCheckURL has a space or another special character in its path or query"},
	{"http://192.0.2.10:80/?ü", "healthCheckURL has a space or another special character in its path or query"},
	{"http://192.0.2.10:80/#top", "healthCheckURL has a fragment"},
	{"http://169.254.169.254:80/", "healthCheckURL leads to an address that probes may not connect to: address refused: 169.254.169.254 is a cloud metadata address: write another host, or have the operator's administrator allow it (--allowed-cidrs)"},
	{"tcp://192.0.2.10:80/", noPath},
	{"tcp://192.0.2.10:80/health", noPath},
	{"tcp://192.0.2.10:80?a", "healthCheckURL: tcp URLs take no parameters: write the fields of healthCheck.tcp, or healthCheck.proxyProtocol, instead"},
	{"tls://192.0.2.10:443?minValidity=s3cret", "healthCheckURL: tls URLs take no parameters: write healthCheck.tls.minValidity or healthCheck.proxyProtocol instead"},
	{"grpc://192.0.2.10:50051?watch=true", "healthCheckURL: grpc URLs take no parameters: write healthCheck.grpc.watch, service or authority instead"},
	{"dns://192.0.2.10:53/a?type=MX", "healthCheckURL: dns URLs take no parameters: write healthCheck.dns.type or healthCheck.dns.transport instead"},
	{"icmp://192.0.2.10?count=3", "healthCheckURL: icmp URLs take no parameters: remove everything from the question mark on"},
	{"tls://192.0.2.10:443?a=%zz", "healthCheckURL: tls URLs take no parameters"},
	{"tcp://192.0.2.10:80#a", noPath},
	{"tls://192.0.2.10:443/", "tls URLs take no path or fragment: remove everything after the port"},
	{"tls://192.0.2.10:443#a", "tls URLs take no path or fragment"},
	{"grpc://192.0.2.10", "healthCheckURL has no port and the endpoint has no TCP port"},
	{"grpc://192.0.2.10:50051/a/b", "grpc URLs take no path or fragment: write the name of the service in healthCheck.grpc.service"},
	{"grpc://192.0.2.10:50051/shop.Cart", "grpc URLs take no path or fragment"},
	{"grpcs://192.0.2.10:50051/#a", "grpcs URLs take no path or fragment"},
	{"icmp://192.0.2.10:80", "icmp URLs take no port, path or fragment: remove everything after the host"},
	{"icmp://192.0.2.10/", "icmp URLs take no port, path or fragment"},
	{"icmp://192.0.2.10#a", "icmp URLs take no port, path or fragment"},
	{"icmp://169.254.169.254", "healthCheckURL leads to an address that probes may not connect to"},
	{"dns://192.0.2.10:53", "healthCheckURL must end in the name to query"},
	{"dns://192.0.2.10:53/", "healthCheckURL must end in the name to query"},
	{"dns://192.0.2.10:53/a#b", "healthCheckURL must end in the name to query"},
	{"dns://192.0.2.10:53/a/b", "healthCheckURL has a path that is not a DNS name"},
	{"dns://192.0.2.10:53/a..b", "healthCheckURL has a path that is not a DNS name"},
	{"dns://192.0.2.10:53/bücher.example", "healthCheckURL has a path that is not a DNS name: write one in ASCII (xn--...)"},
	{"dns://192.0.2.10:53/" + strings.Repeat("a.", 127) + "b", "healthCheckURL has a path that is not a DNS name"},
	{"dns://192.0.2.10:53/" + strings.Repeat("a", 64), "healthCheckURL has a path that is not a DNS name"},
}

func TestDefinitionsRefused(t *testing.T) {
	for _, test := range refusedDefinitions {
		t.Run(test.url, func(t *testing.T) {
			_, err := NewRegistry(transport.NewDialer(loopback)).New(Definition{URL: test.url, Address: netip.MustParseAddr("192.0.2.10")})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s...", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3c") {
				t.Errorf("the error repeats a part of the password: %v", err)
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	for _, test := range []struct {
		def  Definition
		want string
	}{
		{Definition{URL: "tcp://", TCP: &TCPSettings{Steps: []Step{{Expect: []byte(strings.Repeat("a", 5000))}}}}, "healthCheck.tcp.steps[0] is longer than 1024 bytes"},
		{Definition{URL: "https://", TLS: &transport.TLSSettings{CABundle: []byte("-----BEGIN s3cret")}}, "healthCheck.tls: the CA bundle contains no certificate"},
		{Definition{URL: "tls://", TLS: &transport.TLSSettings{CABundle: []byte("-----BEGIN s3cret")}}, "healthCheck.tls: the CA bundle contains no certificate"},
		{Definition{URL: "http://", HTTP: &HTTPSettings{FollowRedirects: true}, TLS: &transport.TLSSettings{CABundle: []byte("s3cret")}}, "healthCheck.tls: the CA bundle contains no certificate"},
		{Definition{URL: "grpc://", GRPC: &GRPCSettings{Service: "\xff"}}, "healthCheck.grpc.service is not UTF-8"},
		{Definition{URL: "grpc://", GRPC: &GRPCSettings{Authority: "a\r\nb"}}, "healthCheck.grpc.authority is not an authority"},
		{Definition{URL: "dns:///a", DNS: &DNSSettings{Type: "ANY"}}, "healthCheck.dns.type cannot be queried: write one of A, AAAA, CAA,"},
		{Definition{URL: "http://", HTTP: &HTTPSettings{Method: " "}}, "healthCheck.http.method is not an HTTP method"},
	} {
		t.Run(test.want, func(t *testing.T) {
			test.def.Address, test.def.Port = netip.MustParseAddr("192.0.2.10"), 80
			_, err := NewRegistry(transport.NewDialer(loopback)).New(test.def)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %s...", err, test.want)
			}
		})
	}
	if _, err := NewRegistry(transport.NewDialer(loopback)).New(Definition{URL: "tcp://:80"}); err == nil {
		t.Error("accepted a place without any host")
	}
}

// FuzzHealthCheckURL: whatever is in the URL, New does not panic, its error never repeats a
// password, and what it accepts makes exactly one well-formed request.
func FuzzHealthCheckURL(f *testing.F) {
	for _, seed := range [][4]string{
		{"http", "", "", "192.0.2.10:80/health"},
		{"http", "user", "word", "192.0.2.10:80/health"},
		{"https", "user", "wo/rd", ":8443/?a#b"},
		{"tcp", "user", "%zz", "[::1]:80"},
		{"tls", "user", "", ":443"},
		{"dns", "user", "", ":53/a.example"},
		{"icmp", "user", "", "[::1]"},
		{"grpc", "user", "", ":50051/"},
		{"https", "user", "", ":443/?a=b&http2=true&c"},
		{"http", "user", "", "/?proxyProtocol=v2&http2=false"},
		{"", "", "[", "localhost"},
		{"http", "\x7f", "\r\n", "%41:1/\t"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	registry := NewRegistry(transport.NewDialer(egress.NewPolicy(egress.Rules{})))
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		const secret = "hunter2"
		withPassword := fmt.Sprintf("%s://%s:%s%s@%s", scheme, user, secret, password, rest)
		for _, url := range []string{withPassword, scheme + "://" + rest, rest} {
			prober, err := registry.New(Definition{URL: url, Address: netip.MustParseAddr("192.0.2.10"), Port: 8080})
			switch {
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("%q: the error repeats the password: %v", url, err)
			case err == nil:
				checkRequest(t, url, prober)
			}
		}
	})
}

func checkRequest(t *testing.T, url string, prober probes.Prober) {
	t.Helper()
	p, ok := prober.(*httpProber)
	if !ok {
		return
	}
	if p.http2 {
		if fields := http2Fields(t, p.first.request); len(fields) != 6 {
			t.Errorf("%q makes the request %v", url, fields)
		}
		return
	}
	lines := strings.Split(string(p.first.request), "\r\n")
	if len(lines) != 7 || lines[5] != "" || lines[6] != "" || strings.Count(lines[0], " ") != 2 {
		t.Errorf("%q makes the request %q", url, p.first.request)
	}
}
