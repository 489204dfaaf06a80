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
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes/transport"
)

// withFields sets the fields of a definition that the tests write after its URL, as in
// "mysql://:3306 role=Replica maxLag=30s". Their names are those of healthCheck. A query is the
// last, because it may have spaces.
func withFields(t testing.TB, def Definition) Definition {
	t.Helper()
	url, fields, _ := strings.Cut(def.URL, " ")
	if fields == "" {
		def.URL = url
		return def
	}
	def.URL = url
	scheme, _, _ := strings.Cut(url, ":")
	block := newBlocks(def)
	for fields != "" {
		field, rest, _ := strings.Cut(fields, " ")
		name, value, _ := strings.Cut(field, "=")
		if name == "query" {
			_, value, _ = strings.Cut(fields, "=")
			rest = ""
		}
		if !block.set(t, scheme, name, value) {
			t.Fatalf("%s has no field %s", scheme, name)
		}
		fields = rest
	}
	return block.Definition
}

// blocks is a definition with settings of its own for all schemes.
type blocks struct{ Definition }

func newBlocks(def Definition) blocks {
	clone(&def.HTTP)
	clone(&def.GRPC)
	clone(&def.DNS)
	clone(&def.Postgres)
	clone(&def.MySQL)
	clone(&def.Redis)
	return blocks{def}
}

func clone[T any](settings **T) {
	own := new(T)
	if *settings != nil {
		*own = **settings
	}
	*settings = own
}

// set sets a field of a scheme's block and reports whether there is such a field.
func (b *blocks) set(t testing.TB, scheme, name, value string) bool {
	t.Helper()
	duration := func() time.Duration {
		parsed, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	schemes := map[string]string{"grpcs": "grpc", "https": "http", "rediss": "redis"}
	if protocol, ok := schemes[scheme]; ok {
		scheme = protocol
	}
	switch scheme + "." + name {
	case "postgres.role":
		b.Postgres.Role = Role(value)
	case "postgres.maxLag":
		b.Postgres.MaxLag = duration()
	case "postgres.query":
		b.Postgres.Query = value
	case "postgres.sslMode":
		b.Postgres.SSLMode = SSLMode(value)
	case "mysql.role":
		b.MySQL.Role = Role(value)
	case "mysql.maxLag":
		b.MySQL.MaxLag = duration()
	case "mysql.sslMode":
		b.MySQL.SSLMode = SSLMode(value)
	case "redis.role":
		b.Redis.Role = Role(value)
	case "redis.maxLag":
		b.Redis.MaxLag = duration()
	case "grpc.watch":
		b.GRPC.Watch = value == "true"
	case "grpc.service":
		b.GRPC.Service = value
	case "grpc.authority":
		b.GRPC.Authority = value
	case "dns.type":
		b.DNS.Type = value
	case "dns.transport":
		b.DNS.TCP = value == "TCP"
	case "http.version":
		b.HTTP.HTTP2 = value == "HTTP2"
	default:
		return b.setCommon(name, value, duration)
	}
	return true
}

// setCommon is set for fields of several schemes.
func (b *blocks) setCommon(name, value string, duration func() time.Duration) bool {
	switch name {
	case "proxyProtocol":
		b.Proxy = map[string]transport.ProxyProtocol{"V1": transport.ProxyProtocolV1, "V2": transport.ProxyProtocolV2}[value]
	case "minValidity":
		clone(&b.TLS)
		b.TLS.MinValidity = duration()
	default:
		return false
	}
	return true
}
