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
	"strings"
	"testing"
)

func TestCanonicalName(t *testing.T) {
	for _, test := range []struct{ text, want, fault string }{
		{"db.example.com", "db.example.com", ""},
		{"db.example.com.", "db.example.com", ""},
		{"DB.Example.COM", "db.example.com", ""},
		{"xn--exmple-cua.com", "xn--exmple-cua.com", ""},
		{"_a.b_c.example", "_a.b_c.example", ""},
		{"localhost", "localhost", ""},
		{"exämple.com", "", `"exämple.com" is not in ASCII: write xn--exmple-cua.com`},
		{"\u202e.com", "", "is not in ASCII: write its xn-- form"},
		{"10.300.1.10", "", `"10.300.1.10" is not an IPv4 or IPv6 address`},
		{"192.0.2.010", "", "is not an IPv4 or IPv6 address"},
		{"0x7f.1", "", "is not an IPv4 or IPv6 address"},
		{"127.0x1", "", "is not an IPv4 or IPv6 address"},
		{"2001:db8::g", "", `"2001:db8::g" is not an IPv4 or IPv6 address`},
		{"fe80::1%eth0", "", "is not an IPv4 or IPv6 address"},
		{"", "", "nor a DNS name"},
		{".", "", "nor a DNS name"},
		{"a..b", "", "nor a DNS name"},
		{"a b.example", "", "nor a DNS name"},
		{"*.example.com", "", "nor a DNS name"},
		{"http://db.example.com", "", "nor a DNS name"},
		{"db.example.com:5432", "", `"db.example.com:5432" is not an IPv4 or IPv6 address`},
		{strings.Repeat("a", 64) + ".example", "", "nor a DNS name"},
		{strings.Repeat("a.", 127) + "example", "", "nor a DNS name"},
	} {
		got, err := CanonicalName(test.text)
		if got != test.want || (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%q: got %q, %v; want %q, %s", test.text, got, err, test.want, test.fault)
		}
	}
}

func TestParseServiceName(t *testing.T) {
	got, err := ParseServiceName("_PostgreSQL._tcp.db.example.")
	if want := (ServiceName{"_postgresql._tcp.db.example", "postgresql", "tcp"}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "db.example.com", "_postgresql.db.example", "_tcp.example", "_._tcp.example", "_a._tcp", "_a.tcp.example", "_a._icmp.example", "_a._tcp.exämple"} {
		if got, err := ParseServiceName(text); err == nil || !strings.Contains(err.Error(), "srv://_postgresql._tcp.example.internal") {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}
