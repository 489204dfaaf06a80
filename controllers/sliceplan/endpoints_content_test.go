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

package sliceplan_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/test/fixtures"
)

// publishedAs is an endpoint with conditions such as "TTF", and "-" for one that is not set.
func publishedAs(address, conditions string) discoveryv1.Endpoint {
	value := func(letter byte) *bool {
		if letter == '-' {
			return nil
		}
		return ptr.To(letter == 'T')
	}
	return discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: value(conditions[0]), Serving: value(conditions[1]), Terminating: value(conditions[2])},
	}
}

func sliceWith(kind discoveryv1.AddressType, ports *endpoint.PortSet, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{AddressType: kind, Ports: ports.Ports, Endpoints: endpoints}
}

// subsetLines are subsets as "ports: addresses / addresses that are not ready".
func subsetLines(subsets []corev1.EndpointSubset) []string {
	lines := make([]string, len(subsets))
	texts := func(addresses []corev1.EndpointAddress) string {
		var ips []string
		for _, address := range addresses {
			ips = append(ips, address.IP)
		}
		return strings.Join(ips, " ")
	}
	for i, subset := range subsets {
		var ports []string
		for _, port := range subset.Ports {
			ports = append(ports, fmt.Sprintf("%s %d/%s", port.Name, port.Port, port.Protocol))
		}
		lines[i] = fmt.Sprintf("%s: %s / %s", strings.Join(ports, ", "), texts(subset.Addresses), texts(subset.NotReadyAddresses))
	}
	return lines
}

func TestEndpointsContent(t *testing.T) {
	two := endpoint.NewPortSet([]discoveryv1.EndpointPort{endpoint.NewPort("web", corev1.ProtocolTCP, 80, nil), endpoint.NewPort("dns", corev1.ProtocolUDP, 53, nil)})
	tests := []struct {
		name     string
		families []corev1.IPFamily
		from     []*discoveryv1.EndpointSlice
		want     []string
		others   int
	}{
		{name: "nothing"},
		{name: "an empty slice", from: []*discoveryv1.EndpointSlice{sliceWith("IPv4", fixtures.HTTPPort(80))}},
		{name: "each state of the table", from: []*discoveryv1.EndpointSlice{sliceWith("IPv4", fixtures.HTTPPort(80),
			publishedAs("10.0.0.1", "TTF"), publishedAs("10.0.0.2", "FFF"), publishedAs("10.0.0.3", "FTT"), publishedAs("10.0.0.4", "FFT"), publishedAs("10.0.0.5", "TFF"), publishedAs("10.0.0.6", "TTT"), publishedAs("10.0.0.7", "---"))},
			want: []string{"http 80/TCP: 10.0.0.1 10.0.0.5 10.0.0.6 10.0.0.7 / 10.0.0.2"}},
		{name: "only terminating ones", from: []*discoveryv1.EndpointSlice{sliceWith("IPv4", fixtures.HTTPPort(80), publishedAs("10.0.0.3", "FTT"))}},
		{name: "ports, several slices each", from: []*discoveryv1.EndpointSlice{
			sliceWith("IPv4", fixtures.HTTPPort(80), publishedAs("10.0.0.10", "TTF")), sliceWith("IPv4", two, publishedAs("10.0.0.2", "TTF")), sliceWith("IPv4", fixtures.HTTPPort(80), publishedAs("10.0.0.9", "TTF")), sliceWith("IPv4", fixtures.HTTPPort(81), publishedAs("10.0.0.9", "FFF"))},
			want: []string{"dns 53/UDP, web 80/TCP: 10.0.0.2 / ", "http 80/TCP: 10.0.0.9 10.0.0.10 / ", "http 81/TCP:  / 10.0.0.9"}},
		{name: "names, which it cannot hold", from: []*discoveryv1.EndpointSlice{
			sliceWith("FQDN", fixtures.HTTPPort(80), publishedAs("db.example.com", "TTF")), sliceWith("IPv4", fixtures.HTTPPort(80), publishedAs("10.0.0.1", "TTF"))},
			want: []string{"http 80/TCP: 10.0.0.1 / "}, others: 1},
		{name: "the first family", families: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, from: []*discoveryv1.EndpointSlice{
			sliceWith("IPv4", fixtures.HTTPPort(80), publishedAs("10.0.0.1", "TTF")), sliceWith("IPv6", fixtures.HTTPPort(80), publishedAs("2001:db8::1", "TTF"))},
			want: []string{"http 80/TCP: 2001:db8::1 / "}, others: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := fixtures.Service()
			service.Spec.IPFamilies = test.families
			content := sliceplan.NewEndpointsContent(service, test.from)
			if got := subsetLines(content.Subsets); !slices.Equal(got, test.want) && len(got)+len(test.want) > 0 {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if content.OtherFamily != test.others || content.Truncated() {
				t.Errorf("%d of the other family, truncated: %v", content.OtherFamily, content.Truncated())
			}
		})
	}
}

// Otherwise each restart would write them again.
func TestEndpointsContent_OtherOrder_SameContent(t *testing.T) {
	var from []*discoveryv1.EndpointSlice
	for i := range 20 {
		var endpoints []discoveryv1.Endpoint
		for j := range 10 {
			endpoints = append(endpoints, publishedAs(fmt.Sprintf("10.0.%d.%d", i, j), []string{"TTF", "FFF", "FTT"}[j%3]))
		}
		from = append(from, sliceWith("IPv4", fixtures.HTTPPort(int32(80+i%3)), endpoints...))
	}
	want := sliceplan.NewEndpointsContent(fixtures.Service(), from)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
		for _, slice := range from {
			random.Shuffle(len(slice.Endpoints), func(i, j int) { slice.Endpoints[i], slice.Endpoints[j] = slice.Endpoints[j], slice.Endpoints[i] })
		}
		if got := sliceplan.NewEndpointsContent(fixtures.Service(), from); !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %q\nwant %q", subsetLines(got.Subsets), subsetLines(want.Subsets))
		}
	}
}

// Each subset keeps its share, rounded up: 800/1500 of 1000 is 534.
func TestEndpointsContent_TooMany_IsTruncated(t *testing.T) {
	tests := []struct {
		name string
		// ready and notReady count the addresses of each subset, before and after.
		ready, notReady         []int
		wantReady, wantNotReady []int
		truncated               bool
	}{
		{"all there is room for", []int{600}, []int{400}, []int{600}, []int{400}, false},
		{"one too many", []int{600}, []int{401}, []int{600}, []int{400}, true},
		{"ready ones first", []int{1500}, []int{500}, []int{1000}, []int{0}, true},
		{"in proportion", []int{800, 700}, []int{0, 0}, []int{534, 466}, []int{0, 0}, true},
		{"those that are not ready, in proportion", []int{400, 500}, []int{300, 100}, []int{400, 500}, []int{75, 25}, true},
		{"a subset without room", []int{1000, 0}, []int{0, 50}, []int{1000}, []int{0}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var from []*discoveryv1.EndpointSlice
			number := 0
			for i := range test.ready {
				slice := sliceWith("IPv4", fixtures.HTTPPort(int32(8080+i)))
				for j := range test.ready[i] + test.notReady[i] {
					number++
					state := "TTF"
					if j >= test.ready[i] {
						state = "FFF"
					}
					slice.Endpoints = append(slice.Endpoints, publishedAs(fmt.Sprintf("10.0.%d.%d", number/250, number%250+1), state))
				}
				from = append(from, slice)
			}
			content := sliceplan.NewEndpointsContent(fixtures.Service(), from)
			var ready, notReady []int
			for _, subset := range content.Subsets {
				ready, notReady = append(ready, len(subset.Addresses)), append(notReady, len(subset.NotReadyAddresses))
			}
			if !slices.Equal(ready, test.wantReady) || !slices.Equal(notReady, test.wantNotReady) || content.Truncated() != test.truncated {
				t.Errorf("%v ready, %v not, truncated: %v; want %v, %v, %v", ready, notReady, content.Truncated(), test.wantReady, test.wantNotReady, test.truncated)
			}
		})
	}
}
