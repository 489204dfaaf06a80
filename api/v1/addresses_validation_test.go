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

package v1_test

import (
	. "github.com/onsi/ginkgo/v2"
)

const (
	noScheme         = "start the URL with its scheme: dns://, grpc://, grpcs://, http://, https://, icmp://, mysql://, postgres://, redis://, rediss://, tcp://, tls:// or udp://"
	specialCharacter = "the URL must not contain spaces or other special characters: percent-encode them"
	unparsable       = "the URL cannot be parsed: write scheme://host:port/path, IPv6 addresses in brackets, and %25 for a percent sign"
	badAuthority     = "after the scheme, the URL must have a host and a port, each of which may be left out: write an IPv6 address in brackets and without a zone, a name in ASCII (xn--...), and one port, as in http://[2001:db8::10]:8080/"
	badPort          = "the URL's port is out of range: write one from 1 to 65535"
	badLabel         = "a label of the URL's host is empty, or begins or ends with a dash: write a DNS name such as db.example.com"
	badNumber        = "the URL's host is neither an IP address nor a DNS name: write an IPv4 address as 192.0.2.10, in four decimal numbers without leading zeros"
	fragment         = "the URL has a fragment (#...), which is never sent: remove it"
	noPathAllowed    = "URLs of tcp, tls, udp, redis and grpc take no path: remove everything after the port, and write the service of grpc in healthCheck.grpc.service"
	icmpPort         = "icmp URLs take no port or path: remove everything after the host"
	noQueryName      = "dns URLs end in the name to query: write it after the port, as in dns://:53/www.example.com"
	badAddress       = "address must be an IP address, such as 192.0.2.10 or 2001:db8::10, or a DNS name in ASCII (xn--...), such as db.example.com: write the port in port, and no brackets, prefix length, zone, leading zeros or wildcard"
	badServiceName   = "write srv:// and the name of SRV records, as in srv://_postgresql._tcp.example.internal"
	loopbackName     = "localhost is the operator's own host: write the address of the endpoint"
)

var _ = DescribeTable("a URL", func(ctx SpecContext, url, message string) { tryMutation(ctx, "spec.healthCheckURL", url, message) },
	Entry(nil, "ftp://192.0.2.10/", noScheme),
	Entry(nil, "/health", noScheme),
	Entry(nil, "192.0.2.10:80", noScheme),
	Entry(nil, "http:192.0.2.1", noScheme),
	Entry(nil, "HTTP://192.0.2.1/", noScheme),
	Entry(nil, "htp://", noScheme),
	Entry(nil, "://", noScheme),
	Entry(nil, "http://192.0.2.1/%zz", unparsable),
	Entry(nil, "http://[2001:db8::1", unparsable),
	Entry(nil, "http://192.0.2.1:http/", unparsable),
	Entry(nil, "http://192.0.2.1/a b", specialCharacter),
	Entry(nil, "http://192.0.2.1/\t", specialCharacter),
	Entry(nil, "http://bücher.example/", specialCharacter),
	Entry(nil, "http://192.0.2.1/\r\nHost: a", specialCharacter),
	Entry(nil, "http://192.0.2.1:80:80/", badAuthority),
	Entry(nil, "http://2001:db8::1/", badAuthority),
	Entry(nil, "http://[fe80::1%25eth0]/", badAuthority),
	Entry(nil, "http://a$b/", badAuthority),
	Entry(nil, "http://*.example.com/", badAuthority),
	Entry(nil, "tcp://192.0.2.1:800000", badAuthority),
	Entry(nil, "http://192.0.2.1:0/", badPort),
	Entry(nil, "http://192.0.2.1:70000/", badPort),
	Entry(nil, "http://:65536/", badPort),
	Entry(nil, "http://-a.example/", badLabel),
	Entry(nil, "http://a-.example/", badLabel),
	Entry(nil, "http://a..example/", badLabel),
	Entry(nil, "http://.example/", badLabel),
	Entry(nil, "http://a-:80/", badLabel),
	Entry(nil, "http://192.0.2.010/", badNumber),
	Entry(nil, "http://0x7f.1/", badNumber),
	Entry(nil, "http://3232235777:80/", badNumber),
	Entry(nil, "http://10.300.1.10/", badNumber),
	Entry(nil, "http://192.0.2.1.5/", badNumber),
	Entry(nil, "http://192.0.2/", badNumber),
	Entry(nil, "http:///health#top", fragment),
	Entry(nil, "tcp://:80/", ""),
	Entry(nil, "tcp://:80/health", noPathAllowed),
	Entry(nil, "redis://:6379/0", noPathAllowed),
	Entry(nil, "grpc://:50051/shop.Cart", noPathAllowed),
	Entry(nil, "tls://:443/a", noPathAllowed),
	Entry(nil, "icmp://192.0.2.1:80", icmpPort),
	Entry(nil, "icmp://192.0.2.1/a", icmpPort),
	Entry(nil, "dns://:53", noQueryName),
	Entry(nil, "dns://:53/", noQueryName),
	Entry(nil, "http://", ""),
	Entry(nil, "http://:8080/health?a=1&b=%20", ""),
	Entry(nil, "https://db.example.com.:8443/", ""),
	Entry(nil, "http://a_b.10.example/", ""),
	Entry(nil, "http://xn--bcher-kva.example/", ""),
	Entry(nil, "http://[2001:db8::1]:8080/", ""),
	Entry(nil, "http://192.0.2.1:65535/", ""),
	Entry(nil, "http://localhost:8080/", ""),
	Entry(nil, "tls://192.0.2.1", ""),
	Entry(nil, "icmp://", ""),
	Entry(nil, "dns:///www.example.com", ""),
	Entry(nil, "postgres://bob@db.example.com/app", ""),
	Entry(nil, "http://1.example.com/", ""),
	Entry(nil, "http://10-0-0-1.example/", ""),
)

var _ = DescribeTable("an address", func(ctx SpecContext, address, message string) {
	tryMutation(ctx, "spec.endpoints.0.address", address, message)
},
	Entry(nil, "192.0.2.1/32", badAddress),
	Entry(nil, "192.0.2.1:80", badAddress),
	Entry(nil, "[2001:db8::1]", badAddress),
	Entry(nil, "fe80::1%eth0", badAddress),
	Entry(nil, "*.example.com", badAddress),
	Entry(nil, "-a.example", badAddress),
	Entry(nil, "a-.example", badAddress),
	Entry(nil, " 192.0.2.1", badAddress),
	Entry(nil, "192.0.2.010", badAddress),
	Entry(nil, "0x7f.1", badAddress),
	Entry(nil, "3232235777", badAddress),
	Entry(nil, "10.300.1.10", badAddress),
	Entry(nil, "::ffff:192.0.2.1", badAddress),
	Entry(nil, "exämple.com", badAddress),
	Entry(nil, "a..example", badAddress),
	Entry(nil, "http://192.0.2.1", badAddress),
	Entry(nil, "db.example.com:5432", badAddress),
	Entry(nil, "192.0.2.1.", badAddress),
	Entry(nil, "srv://db.example", badServiceName),
	Entry(nil, "srv://_http._quic.example", badServiceName),
	Entry(nil, "srv://_http._tcp", badServiceName),
	Entry(nil, "localhost", loopbackName),
	Entry(nil, "LocalHost.", loopbackName),
	Entry(nil, "db.localhost", loopbackName),
	Entry(nil, "2001:db8::1", ""),
	Entry(nil, "192.0.2.1", ""),
	Entry(nil, "db.example.com", ""),
	Entry(nil, "a_b.example.com.", ""),
	Entry(nil, "DB.Example", ""),
	Entry(nil, "srv://_Postgresql._TCP.example.internal.", ""),
	Entry(nil, "10.example", ""),
)
