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

package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// clusterRules are those of a cluster of which everything is known.
func clusterRules() Rules {
	return Rules{
		Denied:  prefixes("203.0.113.0/24", "2001:db8:dead::/48", "192.168.7.0/24"),
		Allowed: prefixes("203.0.113.128/25", "10.96.0.53/32", "169.254.7.0/24"),
		Cluster: []ClusterRange{
			{netip.MustParsePrefix("10.96.0.0/16"), "a Service of this cluster"},
			{netip.MustParsePrefix("fd00:96::/108"), "a Service of this cluster"},
			{netip.MustParsePrefix("10.244.0.0/24"), "a Pod of this cluster"},
			{netip.MustParsePrefix("fd00:244::/64"), "a Pod of this cluster"},
			{netip.MustParsePrefix("172.18.0.2/32"), "a node of this cluster"},
			{netip.MustParsePrefix("2001:db8:18::2/128"), "a node of this cluster"},
		},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

// egressCases list addresses by the messages about them; "" if they are allowed.
var egressCases = map[string]string{
	"": `
		1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 10.0.0.1 10.95.255.255 10.97.0.0 10.96.0.53 10.243.255.255 10.244.1.0
		11.0.0.1 100.64.0.1 100.100.100.199 100.100.100.201 126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17
		169.253.255.255 169.255.0.0 169.254.7.1 172.16.0.1 172.18.0.1 172.18.0.3 172.31.255.254 192.0.0.191 192.0.0.193
		192.0.2.1 192.168.0.1 192.168.6.255 192.168.8.0 198.18.0.1 198.51.100.1 203.0.112.255 203.0.113.128
		203.0.113.255 203.0.114.0 223.255.255.255 240.0.0.1 255.255.255.254
		2001:db8::1 2001:db8:18::1 2001:db8:18::3 2001:4860:4860::8888 2600:: 2a00:1450:4001::1 3fff::1
		fc00::1 fd00::1 fd00:95::1 fd00:96::1:0:0 fd00:244:0:1::1 fd00:ec1::254 fd00:ec3::1 fd12:3456:789a::1
		fd20:ce::253 fec0::1 fe7f::1
		64:ff9b::8.8.8.8 64:ff9b::192.0.2.1 64:ff9b:1::192.0.2.1 64:ff9b:1:c000:2:100::
		64:ff9b:1:c0:0:201:: 64:ff9b:1:0:c0:2:100:: 64:ff9b:2::169.254.169.254
		2002:808:808::1 2002:c000:201:: ::8.8.8.8 ::ffff:0:192.0.2.1 ::ffff:8.8.8.8
		2001:0:808:808:0:0:f7f7:f7f7 2001:db8::5efe:192.0.2.1 2001:db8::200:5efe:8.8.8.8 2001:1::1`,
	"an unspecified address": `
		0.0.0.0 0.0.0.1 0.1.2.3 0.255.255.255 :: ::ffff:0.0.0.0 ::ffff:0.1.2.3
		64:ff9b:: 64:ff9b::0.0.0.1 ::2 ::0.0.0.9 ::ffff:0:0.0.0.0 2002:: 2002:0:1::
		2001:0:0:0:0:0:f7f7:f7f7 2001:db8::5efe:0.0.0.0`,
	"a loopback address": `
		127.0.0.0 127.0.0.1 127.0.0.53 127.1.2.3 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1
		64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::127.0.0.1 64:ff9b:1:7f00:0:100:: 64:ff9b:1:7f:0:1:: 64:ff9b:1:0:7f:0:100::
		2002:7f00:1:: 2002:7f00:1::1 ::127.0.0.1 ::ffff:0:127.0.0.1
		2001:0:7f00:1:0:0:f7f7:f7f7 2001:0:808:808:0:0:80ff:fffe 2001:db8::5efe:127.0.0.1 2001:db8::200:5efe:127.0.0.1`,
	"a link-local address": `
		169.254.0.0 169.254.0.1 169.254.1.1 169.254.169.253 169.254.169.255 169.254.6.255 169.254.8.0 169.254.255.255
		fe80:: fe80::1 fe80::1%eth0 fe80::a9fe:a9fe febf:ffff::1 ::ffff:169.254.1.1 64:ff9b::169.254.1.1
		2002:a9fe:101:: ::169.254.1.1 ::ffff:0:169.254.1.1 2001:0:a9fe:101:0:0:f7f7:f7f7 2001:db8::5efe:169.254.1.1`,
	"a multicast address": `
		224.0.0.0 224.0.0.1 224.0.0.251 232.1.1.1 239.255.255.250 239.255.255.255 ff00:: ff01::1 ff02::1 ff02::fb
		ff05::2 ff0e::1 ffff::1 ::ffff:224.0.0.1 64:ff9b::239.1.1.1 2002:e000:1:: ::224.0.0.1 2001:db8::5efe:224.0.0.1`,
	"the broadcast address": `
		255.255.255.255 ::ffff:255.255.255.255 64:ff9b::255.255.255.255 2002:ffff:ffff:: ::255.255.255.255
		2001:0:808:808::`,
	"a cloud metadata address": `
		169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 168.63.129.16 192.0.0.192
		fd00:ec2::254 fd00:ec2::23 fd00:ec2:0:0:0:0:0:253 fd20:ce::254 fd00:c1::a9fe:a9fe
		::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::ffff:100.100.100.200 ::ffff:168.63.129.16
		64:ff9b::169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b::100.100.100.200 64:ff9b:1::169.254.169.254
		64:ff9b:1:a9fe:a9:fe00:: 64:ff9b:1:a9:fe:a9fe:: 64:ff9b:1:1:a9:fea9:fe00:0 64:ff9b:1:1234::a9fe:a9fe
		2002:a9fe:a9fe:: 2002:a9fe:a9fe:1:2:3:4:5 2002:6464:64c8::1 ::169.254.169.254 ::a9fe:a9fe
		::ffff:0:169.254.169.254 ::ffff:0:168.63.129.16 2001:0:a9fe:a9fe:0:0:f7f7:f7f7 2001:0:808:808:0:0:5601:5601
		fd12::5efe:169.254.169.254 2001:db8::200:5efe:a9fe:a9fe`,
	"a Service of this cluster": `
		10.96.0.0 10.96.0.1 10.96.0.10 10.96.0.52 10.96.0.54 10.96.255.255 fd00:96:: fd00:96::1 fd00:96::f:ffff
		::ffff:10.96.0.1 64:ff9b::10.96.0.1 2002:a60:1:: ::10.96.0.1 2001:db8::5efe:10.96.0.1`,
	"a Pod of this cluster": `
		10.244.0.0 10.244.0.17 10.244.0.255 fd00:244::1 fd00:244::ffff:ffff:ffff:ffff ::ffff:10.244.0.17
		64:ff9b::10.244.0.17 2002:af4:11::`,
	"a node of this cluster": `
		172.18.0.2 2001:db8:18::2 ::ffff:172.18.0.2 64:ff9b::172.18.0.2 2002:ac12:2::`,
	"in a range that the operator's administrator denies": `
		203.0.113.0 203.0.113.127 192.168.7.7 2001:db8:dead::1 2001:db8:dead:beef::1 ::ffff:203.0.113.1
		64:ff9b::203.0.113.1 2002:c0a8:707::`,
}

func TestEgressPolicyKnowsAddressesInEveryForm(t *testing.T) {
	policy := NewPolicy(clusterRules())
	checked := 0
	for want, list := range egressCases {
		for _, text := range strings.Fields(list) {
			checked++
			err := policy.CheckProbe(netip.MustParseAddr(text))
			switch {
			case want == "" && err != nil:
				t.Errorf("%s: %v", text, err)
			case want != "" && (!errors.Is(err, ErrAddressRefused) || !strings.HasSuffix(err.Error(), want)):
				t.Errorf("%s: %v, want it refused as %s", text, err, want)
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d addresses", checked)
	}
}

// What the API server would refuse together with a whole slice cannot be allowed.
func TestEgressPolicyPublishesWhatTheAPIServerTakes(t *testing.T) {
	everything := NewPolicy(Rules{Allowed: prefixes("0.0.0.0/0", "::/0", "127.0.0.0/8", "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "0.0.0.0/32")})
	for _, text := range []string{"0.0.0.0", "::", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:192.0.2.1"} {
		if everything.CheckPublished(netip.MustParseAddr(text)) == nil {
			t.Errorf("%s may be published", text)
		}
	}
	known := NewPolicy(clusterRules())
	for text, allowed := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "10.0.0.1": true, "10.96.0.53": true, "203.0.113.200": true,
		"10.96.0.1": false, "10.244.0.9": false, "172.18.0.2": false, "100.100.100.200": false, "2002:a60:1::": false, "203.0.113.1": false,
	} {
		if err := known.CheckPublished(netip.MustParseAddr(text)); (err == nil) != allowed {
			t.Errorf("%s: %v, want it allowed: %t", text, err, allowed)
		}
	}
}

func TestEgressPolicyAllowsLoopbackProbesForDemos(t *testing.T) {
	policy := NewPolicy(Rules{AllowLoopbackProbes: true})
	for _, text := range []string{"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"} {
		if err := policy.CheckProbe(netip.MustParseAddr(text)); err != nil {
			t.Error(err)
		}
	}
	if policy.CheckProbe(netip.MustParseAddr("169.254.169.254")) == nil {
		t.Error("a metadata address may be probed")
	}
	if policy.CheckPublished(netip.MustParseAddr("127.0.0.1")) == nil {
		t.Error("a loopback address may be published")
	}
}

// A refused address, whatever its form, gets no connection; the forms of one address are
// refused together.
func FuzzEgressPolicy(f *testing.F) {
	for _, list := range egressCases {
		for _, text := range strings.Fields(list) {
			addr := netip.MustParseAddr(text)
			f.Add(addr.AsSlice())
		}
	}
	policy := NewPolicy(clusterRules())
	f.Fuzz(func(t *testing.T, bytes []byte) {
		addr, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		err := policy.CheckProbe(addr)
		if addr.Unmap().Is4() {
			if mapped := policy.CheckProbe(netip.AddrFrom16(addr.As16())); (err == nil) != (mapped == nil) {
				t.Errorf("%s: %v, mapped into IPv6: %v", addr, err, mapped)
			}
			inner := addr.Unmap().As4()
			form := netip.MustParseAddr("64:ff9b::").As16()
			copy(form[12:], inner[:])
			if translated := policy.CheckProbe(netip.AddrFrom16(form)); (err == nil) != (translated == nil) {
				t.Errorf("%s: %v, through NAT64: %v", addr, err, translated)
			}
		}
		if err == nil && (addr.IsLoopback() || addr.IsMulticast() || addr.IsUnspecified()) {
			t.Errorf("%s may be probed", addr)
		}
		if err != nil && noEndpoint(addr) == "" && policy.CheckPublished(addr) == nil {
			t.Errorf("%s may be published, but not probed: %v", addr, err)
		}
	})
}
