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

package tenancy

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/egress"
)

// Before 1.36, Kubernetes took ranges with any bits set.
func TestRangesOf_Node(t *testing.T) {
	node := &corev1.Node{
		Spec: corev1.NodeSpec{PodCIDR: "198.51.100.1/26", PodCIDRs: []string{"198.51.100.1/26", "2001:db8::1/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: "node.example"}, {Type: corev1.NodeInternalIP, Address: "203.0.113.9"},
		}},
	}
	want := "[{198.51.100.0/26 a Pod of this cluster} {2001:db8::/64 a Pod of this cluster} {203.0.113.9/32 a node of this cluster}]"
	if got := fmt.Sprint(rangesOf(node)); got != want {
		t.Errorf("the ranges are %s, want %s", got, want)
	}
}

func TestRanges_Change_RequeuesAffectedObjects(t *testing.T) {
	before := egress.NewPolicy(egress.Rules{})
	after := egress.NewPolicy(egress.Rules{Cluster: []egress.ClusterRange{{Prefix: netip.MustParsePrefix("198.51.100.0/26"), Kind: "a Pod of this cluster"}}})
	with := func(spec farpointv1.ExternalServiceSpec) *farpointv1.ExternalService {
		return &farpointv1.ExternalService{Spec: spec}
	}
	at := func(address string, url farpointv1.HealthCheckURL) farpointv1.ExternalServiceSpec {
		return farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{{Address: address, HealthCheckURL: url}}}
	}
	for name, test := range map[string]struct {
		object *farpointv1.ExternalService
		want   bool
	}{
		"elsewhere":             {with(at("192.0.2.1", "tcp://192.0.2.2:80")), false},
		"in the spec":           {with(at("198.51.100.7", "")), true},
		"in the URL":            {with(at("192.0.2.1", "tcp://198.51.100.7:80")), true},
		"in the common URL":     {with(farpointv1.ExternalServiceSpec{HealthCheckURL: "tcp://198.51.100.7:80"}), true},
		"wherever a name leads": {with(at("db.example", "")), true},
	} {
		if got := specAffected(test.object, before, after); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	// Endpoints that drain, or are left by a suspend, are only in a slice.
	for address, want := range map[string]bool{"198.51.100.7": true, "192.0.2.1": false, "db.example": false} {
		slice := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.2"}}, {Addresses: []string{address}}}}
		if got := sliceAffected(slice, before, after); got != want {
			t.Errorf("%s in a slice: %v, want %v", address, got, want)
		}
	}
}

func TestLogRanges_ManyOfAKind_AreShortened(t *testing.T) {
	ranges := []egress.ClusterRange{{Prefix: netip.MustParsePrefix("10.96.0.0/12"), Kind: "a Service of this cluster"}}
	for i := range 5 {
		ranges = append(ranges, egress.ClusterRange{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i)), Kind: "a Pod of this cluster"})
	}
	var got string
	logRanges(funcr.New(func(_, line string) { got = line }, funcr.Options{}), ranges)

	const want = `"level"=0 "msg"="Found the cluster's own ranges, which may be neither probed nor published"` +
		` "a Pod of this cluster"=["10.244.0.0/24" "10.244.1.0/24" "10.244.2.0/24" "and 2 more"] "a Service of this cluster"=["10.96.0.0/12"]`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
