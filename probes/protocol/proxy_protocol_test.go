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
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

func TestProxyProtocolHeader(t *testing.T) {
	v4 := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:258"), netip.MustParseAddrPort("198.51.100.2:443")}
	v6 := [2]netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:65535"), netip.MustParseAddrPort("[2001:db8::2]:1")}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	for _, test := range []struct {
		version transport.ProxyProtocol
		of      [2]netip.AddrPort
		want    string
	}{
		{transport.ProxyProtocolV1, v4, "PROXY TCP4 192.0.2.1 198.51.100.2 258 443\r\n"},
		{transport.ProxyProtocolV1, v6, "PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n"},
		{transport.ProxyProtocolV2, v4, signature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x01\x02\x01\xbb"},
		{transport.ProxyProtocolV2, v6, signature + "\x21\x21\x00\x24" +
			"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02\xff\xff\x00\x01"},
	} {
		if got := string(test.version.Header(test.of[0], test.of[1])); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// readProxyHeader is the content of a header: version, family and addresses.
func readProxyHeader(conn net.Conn) string {
	from := bufio.NewReader(conn)
	if start, err := from.Peek(5); err != nil || string(start) == "PROXY" {
		line, _ := from.ReadString('\n')
		words := strings.Fields(line)
		if len(words) != 6 {
			return line
		}
		return fmt.Sprintf("v1 %s %s %s", words[1], net.JoinHostPort(words[2], words[4]), net.JoinHostPort(words[3], words[5]))
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(from, head); err != nil {
		return err.Error()
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(from, rest); err != nil {
		return err.Error()
	}
	size := (len(rest) - 4) / 2
	addrPort := func(address, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(address)
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
	}
	family := map[byte]string{0x11: "TCP4", 0x21: "TCP6"}[head[13]]
	return fmt.Sprintf("v%d %s %s %s", head[12]>>4, family, addrPort(rest[:size], rest[2*size:]), addrPort(rest[size:2*size], rest[2*size+2:]))
}

// TestProxyProtocol_HeaderIsSentFirst: whatever is spoken, by IPv4 and IPv6, and by name.
func TestProxyProtocol_HeaderIsSentFirst(t *testing.T) {
	seen := make(chan [2]string, 1)
	exchange := func(conn net.Conn) {
		header := readProxyHeader(conn)
		family := "TCP4"
		if conn.RemoteAddr().(*net.TCPAddr).IP.To4() == nil {
			family = "TCP6"
		}
		seen <- [2]string{header, fmt.Sprintf("%s %s %s", family, conn.RemoteAddr(), conn.LocalAddr())}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	v4, v6 := probetest.Serve(t, exchange), probetest.ServeOn(t, probetest.Ipv6Loopback(t), exchange)
	named := fmt.Sprintf("localhost:%d", v4.Port())
	for _, scheme := range []string{"tcp", "tls", "http", "https", "grpc", "grpcs", "mysql", "postgres", "redis", "rediss"} {
		for _, version := range []string{"v1", "v2"} {
			for _, host := range []string{v4.String(), v6.String(), named} {
				def := Definition{URL: fmt.Sprintf("%s://%s proxyProtocol=%s", scheme, host, strings.ToUpper(version)), TCP: &TCPSettings{Steps: []Step{{Expect: []byte("220")}}}}
				probeOnce(t, prepare(t, def), probetest.Ample)
				if got := <-seen; got[0] != version+" "+got[1] {
					t.Errorf("%s: it said %q, and the connection is %q", def.URL, got[0], got[1])
				}
			}
		}
	}
}

func TestProxyProtocolOfAPort(t *testing.T) {
	seen := make(chan string, 1)
	addr := probetest.Serve(t, func(conn net.Conn) { seen <- readProxyHeader(conn) })
	for _, version := range []string{"v1", "v2"} {
		if got := result(t, at(addr, "tcp:// proxyProtocol="+strings.ToUpper(version)), probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("got %+v", got)
		}
		if header := <-seen; !strings.HasPrefix(header, version+" TCP4 127.0.0.1:") {
			t.Errorf("it said %q", header)
		}
	}
	if got, want := result(t, at(probetest.Refusing(t), "tcp:// proxyProtocol=V1"), probetest.Ample), probes.FailureResult(probes.ReasonConnectionRefused); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := result(t, at(probetest.BlackHole(t), "tcp:// proxyProtocol=V1"), probetest.Brief), probes.FailureResult(probes.ReasonTimeout); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestProxyProtocolOfNginx(t *testing.T) {
	ca := probetest.NewAuthority(t)
	const page = `location / { return 200 "it is $proxy_protocol_addr"; } location /moved { return 302 /; }`
	behind, encrypted, open := probetest.Refusing(t), probetest.Refusing(t), probetest.Refusing(t)
	listener, err := net.Listen("tcp", probetest.Ipv6Loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	six := probetest.AddrOf(listener)
	listener.Close()
	server := servers.NewNginx(t)
	server.Serve(open, fmt.Sprintf(`
		server { listen %s proxy_protocol; absolute_redirect off; %[2]s }
		server { listen %[3]s proxy_protocol ssl http2; %[4]s absolute_redirect off; %[2]s }
		server { listen %[5]s proxy_protocol; absolute_redirect off; %[2]s }
		server { listen %[6]s; %[2]s }`,
		behind, page, encrypted, server.TLS(inPEM(t, ca.Issue(t))), six, open))
	probe := func(addr netip.AddrPort, url string, want probes.Result) {
		t.Helper()
		def := at(addr, url)
		def.HTTP = &HTTPSettings{ExpectedBody: regexp.MustCompile("^it is (127.0.0.1|::1)$"), FollowRedirects: true}
		def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
		if got := result(t, def, probetest.Ample); got != want {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
	for _, version := range []string{"v1", "v2"} {
		probe(behind, "http:/// proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(behind, "http:///moved proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(six, "http:/// proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(encrypted, "https:/// proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(encrypted, "https:///moved version=HTTP2 proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(encrypted, "tls:// minValidity=1m proxyProtocol="+strings.ToUpper(version), probes.SuccessResult())
		probe(open, "http:/// proxyProtocol="+strings.ToUpper(version), httpStatus(400))
	}
	// Without it, nginx logs a broken header and closes the connection.
	for url, addr := range map[string]netip.AddrPort{"http:///": behind, "https:///": encrypted, "tls://": encrypted} {
		probe(addr, url, probes.FailureResult(probes.ReasonConnectionClosed))
	}
	server.Freeze()
	if got, want := result(t, at(behind, "http:/// proxyProtocol=V2"), probetest.Brief), probes.FailureResult(probes.ReasonTimeout); got != want {
		t.Errorf("frozen: got %+v, want %+v", got, want)
	}
}

func TestProxyProtocolOfMariaDB(t *testing.T) {
	server := startMariaDB(t, "--proxy-protocol-networks=127.0.0.1")
	for _, query := range []string{" proxyProtocol=V1", " proxyProtocol=V2 role=Primary"} {
		if got := result(t, mysqlAt(server, query), probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("%s: got %+v", query, got)
		}
	}
}
