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

package conflicts

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/test/fixtures"
)

type conflictCase struct {
	name    string
	service *corev1.Service
	slices  []*discoveryv1.EndpointSlice
	pods    []*discoveryv1.EndpointSlice
	named   *corev1.Endpoints
	want    string // reason and a part of the message
}

// checkConflicts looks for conflicts with two healthy endpoints.
func checkConflicts(t *testing.T, cases []conflictCase) {
	t.Helper()
	own := []endpoint.Endpoint{*fixtures.Healthy("10.0.0.1", fixtures.HTTPPort(8080)).Endpoint, *fixtures.Healthy("10.0.0.2", fixtures.HTTPPort(8080)).Endpoint}
	for i := range own {
		own[i].Name = own[i].Address.String() + ":8080"
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			around := Neighbours{Service: fixtures.Service(), Pods: test.pods}
			if test.service != nil {
				around.Service = test.service
			}
			if test.named != nil {
				around.Endpoints = test.named
			}
			for _, slice := range test.slices {
				around.Add(slice, types.NamespacedName{Namespace: "integration", Name: "legacy-api"})
			}
			got := ""
			if conflict := Find(own, around); conflict != nil {
				got = conflict.Reason + " " + conflict.Message
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" || strings.Count(got, "Also") != strings.Count(test.want, "Also") {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// endpointsObject is an Endpoints object with the Service's name.
func endpointsObject(labels, annotations map[string]string) *corev1.Endpoints {
	return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "legacy", Labels: labels, Annotations: annotations}}
}

// selecting is the Service with a selector.
func selecting() *corev1.Service {
	service := fixtures.Service()
	service.Spec.Selector = map[string]string{"app": "db"}
	return service
}

func TestFind_SlicesOfOthers_AreReportedIfTheyConflict(t *testing.T) {
	repaired := fixtures.Slice("somebody", "mine-0")
	repaired.OwnerReferences = []metav1.OwnerReference{ownership.Reference(fixtures.Owner())}
	otherPort := fixtures.RivalSlice("other", "10.0.0.1")
	otherPort.Ports = fixtures.HTTPPort(9090).Ports
	checkConflicts(t, []conflictCase{
		{name: "nobody else"},
		{name: "its own slice", slices: []*discoveryv1.EndpointSlice{fixtures.RivalSlice("legacy-api", "10.0.0.1")}},
		{name: "its own slice, relabelled", slices: []*discoveryv1.EndpointSlice{repaired}},
		{name: "another ExternalService, elsewhere", slices: []*discoveryv1.EndpointSlice{fixtures.RivalSlice("other", "10.0.0.3")}},
		{name: "another ExternalService at the same place", slices: []*discoveryv1.EndpointSlice{fixtures.RivalSlice("other", "10.0.0.1")},
			want: "SharedEndpoint 10.0.0.1:8080 is also in ExternalService other: consumers"},
		{name: "another ExternalService with another port of the same address", slices: []*discoveryv1.EndpointSlice{otherPort}},
		{name: "a slice by hand", slices: []*discoveryv1.EndpointSlice{fixtures.Slice("", "by-hand")},
			want: "ForeignEndpointSlices EndpointSlice by-hand is written for Service legacy by somebody else: delete"},
		{name: "slices of a controller", slices: []*discoveryv1.EndpointSlice{fixtures.Slice("mesh.example.com", "b"), fixtures.Slice("mesh.example.com", "a")},
			want: "ForeignEndpointSlices EndpointSlices a (of mesh.example.com), b (of mesh.example.com) are written for"},
		{name: "slices of a controller beside Pods", service: selecting(), slices: []*discoveryv1.EndpointSlice{fixtures.Slice("mesh.example.com", "a")},
			want: "ForeignEndpointSlices EndpointSlice a"},
	})
}

func TestFind_EndpointsObject_IsReportedIfMirrored(t *testing.T) {
	checkConflicts(t, []conflictCase{
		{name: "Endpoints by hand", named: endpointsObject(nil, nil),
			want: "MirroredEndpoints Kubernetes copies Endpoints legacy, which does not belong to this object, into EndpointSlices of the Service: delete it, or stop that with kubectl label endpoints --namespace integration legacy endpointslice.kubernetes.io/skip-mirror=true"},
		{name: "Endpoints beside Pods", service: selecting(), named: endpointsObject(nil, nil)},
		{name: "Endpoints that are not mirrored", named: endpointsObject(map[string]string{discoveryv1.LabelSkipMirror: "true"}, nil)},
		{name: "Endpoints of a leader election", named: endpointsObject(nil, map[string]string{LeaderElectionRecord: "{}"})},
		{name: "a mirror of Endpoints that are not seen", slices: []*discoveryv1.EndpointSlice{fixtures.Slice(mirrorSliceManager, "legacy-x")},
			want: "MirroredEndpoints Kubernetes copies Endpoints legacy,"},
	})
}

func TestFind_SlicesOfPods_AreReportedIfTheyOverlapOrAreLeftOver(t *testing.T) {
	checkConflicts(t, []conflictCase{
		{name: "Pods that may be there", service: selecting(), pods: []*discoveryv1.EndpointSlice{fixtures.Slice(PodSliceManager, "legacy-p", "10.0.0.9")}},
		{name: "Pods at the same place", service: selecting(), pods: []*discoveryv1.EndpointSlice{fixtures.Slice(PodSliceManager, "legacy-p", "10.0.0.2")},
			want: "SharedEndpoint 10.0.0.2:8080 is also in EndpointSlice legacy-p of the Service's Pods: consumers"},
		{name: "Pods left behind", pods: []*discoveryv1.EndpointSlice{fixtures.Slice(PodSliceManager, "legacy-p", "10.0.0.9")},
			want: "LeftoverPodSlices EndpointSlice legacy-p is left from when Service legacy had a selector, and the Pods still get traffic: kubectl delete endpointslices --namespace integration --selector kubernetes.io/service-name=legacy,endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io"},
	})
}

func TestFind_SeveralConflicts_AreReportedTogether(t *testing.T) {
	checkConflicts(t, []conflictCase{
		{name: "all at once", slices: []*discoveryv1.EndpointSlice{fixtures.RivalSlice("other", "10.0.0.1"), fixtures.Slice("", "by-hand")}, named: endpointsObject(nil, nil),
			want: "MirroredEndpoints Kubernetes copies Endpoints legacy, which does not belong to this object, into EndpointSlices of the Service: delete it, or stop that with kubectl label endpoints --namespace integration legacy endpointslice.kubernetes.io/skip-mirror=true. Also, EndpointSlice by-hand is written for Service legacy by somebody else: delete what should not be there, or use a separate Service for these endpoints. Also, 10.0.0.1:8080 is also"},
	})
}

func TestConflicts_Many_AreShortened(t *testing.T) {
	endpoints := fixtures.Numbered(12)
	own := make([]endpoint.Endpoint, len(endpoints))
	var addresses []string
	var foreign []*discoveryv1.EndpointSlice
	for i := range own {
		own[i] = *endpoints[i].Endpoint
		addresses = append(addresses, own[i].Address.String())
		foreign = append(foreign, fixtures.Slice("", fmt.Sprintf("by-hand-%02d", i)))
	}
	around := Neighbours{Service: fixtures.Service(), Rivals: []*discoveryv1.EndpointSlice{fixtures.RivalSlice("other", addresses...)}, foreign: foreign}
	got := Find(own, around).Message
	for _, want := range []string{"; and 7 more: consumers", "by-hand-04, and 7 more are written"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
