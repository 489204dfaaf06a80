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
	"strings"

	. "github.com/onsi/ginkgo/v2"
)

// steps is a block with a dialogue, of fields and their values.
func steps(fields ...string) map[string]any {
	var list []any
	for i := 0; i < len(fields); i += 2 {
		list = append(list, map[string]any{fields[i]: fields[i+1]})
	}
	return map[string]any{"steps": list}
}

// manySteps is a block of a dialogue of that many steps.
func manySteps(count int) map[string]any {
	var fields []string
	for range count {
		fields = append(fields, "expect", "a")
	}
	return steps(fields...)
}

var _ = DescribeTable("a probe", tryMutation,
	Entry("parameter of dns", "spec.healthCheckURL", "dns://:53/www.example.com?a=b", "dns URLs take no parameters: write healthCheck.dns.type or healthCheck.dns.transport instead"),
	Entry("parameter of grpc", "spec.healthCheckURL", "grpc://?a=b", "grpc URLs take no parameters: write healthCheck.grpc.watch, service or authority instead"),
	Entry("parameter of grpcs", "spec.healthCheckURL", "grpcs://?a=b", "grpcs URLs take no parameters: write healthCheck.grpc.watch, service or authority instead"),
	Entry("parameter of icmp", "spec.healthCheckURL", "icmp://?a=b", "icmp URLs take no parameters: remove everything from the question mark on"),
	Entry("parameter of mysql", "spec.healthCheckURL", "mysql://?a=b", "mysql URLs take no parameters: write healthCheck.mysql.role, maxLag or sslMode instead"),
	Entry("parameter of postgres", "spec.healthCheckURL", "postgres://?a=b", "postgres URLs take no parameters: write healthCheck.postgres.role, maxLag, query or sslMode instead"),
	Entry("parameter of redis", "spec.healthCheckURL", "redis://?a=b", "redis URLs take no parameters: write healthCheck.redis.role or maxLag instead"),
	Entry("parameter of rediss", "spec.healthCheckURL", "rediss://?a=b", "rediss URLs take no parameters: write healthCheck.redis.role or maxLag instead"),
	Entry("parameter of tcp", "spec.healthCheckURL", "tcp://?a=b", "tcp URLs take no parameters: write the fields of healthCheck.tcp, or healthCheck.proxyProtocol, instead"),
	Entry("parameter of tls", "spec.healthCheckURL", "tls://?a=b", "tls URLs take no parameters: write healthCheck.tls.minValidity or healthCheck.proxyProtocol instead"),

	Entry("http of other schemes", "spec", checkedBy("tcp://", map[string]any{"http": map[string]any{"method": "HEAD"}}), "healthCheck.http is for http:// or https://, which no health check URL begins with: write such a URL, or remove healthCheck.http"),
	Entry("http by http:///", "spec", checkedBy("http:///", map[string]any{"http": map[string]any{"method": "HEAD"}}), ""),
	Entry("http by https:///", "spec", checkedBy("https:///", map[string]any{"http": map[string]any{"method": "HEAD"}}), ""),
	Entry("tcp of other schemes", "spec", checkedBy("http:///", map[string]any{"tcp": steps("expect", "220 ", "send", "QUIT\r\n")}), "healthCheck.tcp is for tcp:// and tls://, which no health check URL begins with: write such a URL, or remove healthCheck.tcp"),
	Entry("tcp by tcp://", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("expect", "220 ", "send", "QUIT\r\n")}), ""),
	Entry("grpc of other schemes", "spec", checkedBy("http:///", map[string]any{"grpc": map[string]any{"service": "shop.Cart", "watch": true, "authority": "shop.example.com:443"}}), "healthCheck.grpc is for grpc:// or grpcs://, which no health check URL begins with: write such a URL, or remove healthCheck.grpc"),
	Entry("grpc by grpc://", "spec", checkedBy("grpc://", map[string]any{"grpc": map[string]any{"service": "shop.Cart", "watch": true, "authority": "shop.example.com:443"}}), ""),
	Entry("grpc by grpcs://", "spec", checkedBy("grpcs://", map[string]any{"grpc": map[string]any{"service": "shop.Cart", "watch": true, "authority": "shop.example.com:443"}}), ""),
	Entry("dns of other schemes", "spec", checkedBy("http:///", map[string]any{"dns": map[string]any{"type": "SOA", "transport": "TCP"}}), "healthCheck.dns is for dns://, which no health check URL begins with: write such a URL, or remove healthCheck.dns"),
	Entry("dns by dns:///example.com", "spec", checkedBy("dns:///example.com", map[string]any{"dns": map[string]any{"type": "SOA", "transport": "TCP"}}), ""),
	Entry("postgres of other schemes", "spec", checkedBy("mysql://", map[string]any{"postgres": map[string]any{"role": "Replica", "maxLag": "30s", "query": "SELECT true", "sslMode": "VerifyCA"}}), "healthCheck.postgres is for postgres://, which no health check URL begins with: write such a URL, or remove healthCheck.postgres"),
	Entry("postgres by postgres://", "spec", checkedBy("postgres://", map[string]any{"postgres": map[string]any{"role": "Replica", "maxLag": "30s", "query": "SELECT true", "sslMode": "VerifyCA"}}), ""),
	Entry("mysql of other schemes", "spec", checkedBy("postgres://", map[string]any{"mysql": map[string]any{"role": "Primary", "sslMode": "VerifyFull"}}), "healthCheck.mysql is for mysql://, which no health check URL begins with: write such a URL, or remove healthCheck.mysql"),
	Entry("mysql by mysql://", "spec", checkedBy("mysql://", map[string]any{"mysql": map[string]any{"role": "Primary", "sslMode": "VerifyFull"}}), ""),
	Entry("redis of other schemes", "spec", checkedBy("mysql://", map[string]any{"redis": map[string]any{"role": "Replica", "maxLag": "1m"}}), "healthCheck.redis is for redis:// or rediss://, which no health check URL begins with: write such a URL, or remove healthCheck.redis"),
	Entry("redis by redis://", "spec", checkedBy("redis://", map[string]any{"redis": map[string]any{"role": "Replica", "maxLag": "1m"}}), ""),
	Entry("redis by rediss://", "spec", checkedBy("rediss://", map[string]any{"redis": map[string]any{"role": "Replica", "maxLag": "1m"}}), ""),
	Entry("tls of other schemes", "spec", checkedBy("redis://", map[string]any{"tls": map[string]any{"minValidity": "168h"}}), "healthCheck.tls is for probes over TLS, and no health check URL begins with https://, grpcs://, mysql://, postgres://, rediss:// or tls://: write such a URL, or remove healthCheck.tls"),
	Entry("tls by tls://", "spec", checkedBy("tls://", map[string]any{"tls": map[string]any{"minValidity": "168h"}}), ""),
	Entry("tls by https:///", "spec", checkedBy("https:///", map[string]any{"tls": map[string]any{"minValidity": "168h"}}), ""),
	Entry("proxyProtocol of other schemes", "spec", checkedBy("icmp://", map[string]any{"proxyProtocol": "V2"}), "healthCheck.proxyProtocol is for probes over TCP, and all health check URLs begin with dns://, icmp:// or udp://: remove healthCheck.proxyProtocol"),
	Entry("proxyProtocol by tcp://", "spec", checkedBy("tcp://", map[string]any{"proxyProtocol": "V2"}), ""),
	Entry("proxyProtocol by tls://", "spec", checkedBy("tls://", map[string]any{"proxyProtocol": "V2"}), ""),

	Entry("tcp by default", "spec", map[string]any{
		"endpoints": []any{map[string]any{"address": "192.0.2.10", "port": int64(80)}}, "healthCheck": map[string]any{"tcp": steps("expect", "220 ")},
	}, ""),
	Entry("dialogue over TLS", "spec", checkedBy("tls://", map[string]any{"tcp": steps("expectBase64", "iGIyMjAg/w==", "sendBase64", "UVVJVA0K")}), ""),
	Entry("startTLS", "spec", checkedBy("tls://", map[string]any{"tcp": map[string]any{"startTLS": "LDAP"}}), ""),
	Entry("startTLS without TLS", "spec", checkedBy("tcp://", map[string]any{"tcp": map[string]any{"startTLS": "SMTP"}}), "healthCheck.tcp.startTLS goes over to TLS, and no health check URL begins with tls://: write tls:// instead of tcp://"),
	Entry("startTLS of another protocol", "spec", checkedBy("tls://", map[string]any{"tcp": map[string]any{"startTLS": "POP3"}}), "Unsupported value"),
	Entry("16 steps", "spec", checkedBy("tcp://", map[string]any{"tcp": manySteps(16)}), ""),
	Entry("17 steps", "spec", checkedBy("tcp://", map[string]any{"tcp": manySteps(17)}), "must have at most 16 items"),
	Entry("1,000 steps", "spec", checkedBy("tcp://", map[string]any{"tcp": manySteps(1000)}), "must have at most 16 items"),
	Entry("no steps", "spec", checkedBy("tcp://", map[string]any{"tcp": map[string]any{"steps": []any{}}}), "should have at least 1 items"),
	Entry("empty step", "spec", checkedBy("tcp://", map[string]any{"tcp": map[string]any{"steps": []any{map[string]any{}}}}), "a step must have exactly one of send, sendBase64, expect and expectBase64: write one step for each"),
	Entry("step of two things", "spec", checkedBy("tcp://", map[string]any{"tcp": map[string]any{"steps": []any{map[string]any{"send": "a", "expect": "b"}}}}), "a step must have exactly one of send, sendBase64, expect and expectBase64: write one step for each"),
	Entry("step of nothing", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("send", "")}), "should be at least 1 chars long"),
	Entry("long step", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("send", strings.Repeat("a", 1025))}), "may not be more than 1024"),
	Entry("base64", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("sendBase64", "QUIT")}), ""),
	Entry("base64 of other letters", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("sendBase64", "_-_-")}), "sendBase64 must be base64: encode the bytes with the tool base64"),
	Entry("base64 cut off", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("expectBase64", "QUITQ")}), "expectBase64 must be base64: encode the bytes with the tool base64"),
	Entry("long base64", "spec", checkedBy("tcp://", map[string]any{"tcp": steps("sendBase64", strings.Repeat("QUIT", 343))}), "may not be more than 1368"),
	Entry("udp", "spec", checkedBy("udp://:123", map[string]any{"udp": steps("sendBase64", "GwAA", "expectBase64", "HAAA")}), ""),
	Entry("udp without steps", "spec", checkedBy("udp://:123", map[string]any{"timeout": "1s"}), "udp has no connection, so that only an answer shows that a server is there: write what to send and what to expect in healthCheck.udp.steps"),
	Entry("udp without an answer", "spec", checkedBy("udp://:123", map[string]any{"udp": steps("send", "a", "send", "b")}), "udp.steps must begin with something to send and end with something to expect"),
	Entry("udp without a question", "spec", checkedBy("udp://:123", map[string]any{"udp": steps("expect", "a", "expect", "b")}), "udp.steps must begin with something to send and end with something to expect"),
	Entry("udp of other schemes", "spec", checkedBy("tcp://", map[string]any{"udp": steps("send", "a", "expect", "b")}), "healthCheck.udp is for udp://, which no health check URL begins with: write such a URL, or remove healthCheck.udp"),
	Entry("tls of redirects", "spec", checkedBy("http:///", map[string]any{"tls": insecure, "http": map[string]any{"followRedirects": true}}), ""),
	Entry("version of HTTP", "spec.healthCheck.http.version", "HTTP2", ""),
	Entry("unknown version of HTTP", "spec.healthCheck.http.version", "h2c", "Unsupported value"),
	Entry("unknown PROXY protocol", "spec.healthCheck.proxyProtocol", "v2", "Unsupported value"),
	Entry("query of http", "spec.healthCheckURL", "http:///health?http2=true&proxyProtocol=v1", ""),
	Entry("service with a line break", "spec", checkedBy("grpc://", map[string]any{"grpc": map[string]any{"service": "a\r\nb"}}), "service must be a name such as shop.Cart"),
	Entry("long service", "spec", checkedBy("grpc://", map[string]any{"grpc": map[string]any{"service": strings.Repeat("a", 257)}}), "may not be more than 256"),
	Entry("authority with a line break", "spec", checkedBy("grpc://", map[string]any{"grpc": map[string]any{"authority": "a\r\nx: b"}}), "authority must be a name or an address, with a port if needed"),
	Entry("authority of IPv6", "spec", checkedBy("grpc://", map[string]any{"grpc": map[string]any{"authority": "[2001:db8::1]:443"}}), ""),
	Entry("type of records", "spec", checkedBy("dns:///a", map[string]any{"dns": map[string]any{"type": "ANY"}}), "Unsupported value"),
	Entry("transport", "spec", checkedBy("dns:///a", map[string]any{"dns": map[string]any{"transport": "QUIC"}}), "Unsupported value"),
	Entry("role", "spec", checkedBy("redis://", map[string]any{"redis": map[string]any{"role": "master"}}), "Unsupported value"),
	Entry("lag of a primary", "spec", checkedBy("postgres://", map[string]any{"postgres": map[string]any{"role": "Primary", "maxLag": "1s"}}), "a primary has no lag: remove maxLag, or write role: Replica"),
	Entry("lag of a primary, mysql", "spec", checkedBy("mysql://", map[string]any{"mysql": map[string]any{"role": "Primary", "maxLag": "1s"}}), "a primary has no lag: remove maxLag, or write role: Replica"),
	Entry("lag of a primary, redis", "spec", checkedBy("redis://", map[string]any{"redis": map[string]any{"role": "Primary", "maxLag": "1s"}}), "a primary has no lag: remove maxLag, or write role: Replica"),
	Entry("lag of nothing", "spec", checkedBy("mysql://", map[string]any{"mysql": map[string]any{"maxLag": "0s"}}), "must be a duration from 1ms to 8760h, such as 30s"),
	Entry("lag of a lifetime", "spec", checkedBy("redis://", map[string]any{"redis": map[string]any{"maxLag": "999999h"}}), "must be a duration from 1ms to 8760h, such as 30s"),
	Entry("sslMode", "spec", checkedBy("postgres://", map[string]any{"postgres": map[string]any{"sslMode": "verify-full"}}), "Unsupported value"),
	Entry("sslMode that mysql lacks", "spec", checkedBy("mysql://", map[string]any{"mysql": map[string]any{"sslMode": "VerifyCA"}}), "mysql has no sslMode VerifyCA: write VerifyFull, with tls.serverName if the certificate has another name"),
	Entry("long query", "spec", checkedBy("postgres://", map[string]any{"postgres": map[string]any{"query": strings.Repeat("a", 4097)}}), "may not be more than 4096"),
	Entry("query with a zero byte", "spec", checkedBy("postgres://", map[string]any{"postgres": map[string]any{"query": "SELECT true\x00"}}), "query must not contain zero bytes"),
	Entry("minValidity of nothing", "spec", checkedBy("tls://", map[string]any{"tls": map[string]any{"minValidity": "0s"}}), "must be a duration from 1m to 8760h, such as 168h"),
	Entry("minValidity of words", "spec", checkedBy("tls://", map[string]any{"tls": map[string]any{"minValidity": "a week"}}), "must be a duration from 1m to 8760h, such as 168h"),
)
