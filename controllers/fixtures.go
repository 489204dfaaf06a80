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

package controllers

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// sliceOf is one of a manager for the test Service.
func sliceOf(manager, name string, addresses ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "integration", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "legacy"}},
		Ports:      httpPort(8080).Ports,
	}
	if manager != "" {
		slice.Labels[discoveryv1.LabelManagedBy] = manager
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return slice
}

// rivalSlice is one of another ExternalService.
func rivalSlice(owner string, addresses ...string) *discoveryv1.EndpointSlice {
	slice := sliceOf(farpointv1.ManagedBy, owner+"-0", addresses...)
	slice.Labels[farpointv1.OwnerLabel] = owner
	return slice
}

func testOwner() *farpointv1.ExternalService {
	return &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: "integration", Name: "legacy-api", UID: "1"}}
}

func testService() *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "integration", Name: "legacy"}}
}

func httpPort(number int32) *endpoint.PortSet {
	return endpoint.NewPortSet([]discoveryv1.EndpointPort{endpoint.NewPort("http", corev1.ProtocolTCP, number, nil)})
}

func healthy(address string, ports *endpoint.PortSet) endpoint.Verdict {
	parsed := netip.MustParseAddr(address)
	return endpoint.Verdict{
		Endpoint: &endpoint.Endpoint{Spec: &farpointv1.Endpoint{}, Address: parsed, Text: parsed.String(), Ports: ports},
		Health:   health.Seeded(health.StateHealthy),
	}
}

// numbered are healthy IPv4 endpoints with the same port.
func numbered(n int) []endpoint.Verdict {
	ports := httpPort(8080)
	list := make([]endpoint.Verdict, n)
	for i := range list {
		list[i] = healthy(fmt.Sprintf("10.0.%d.%d", i/250, 1+i%250), ports)
	}
	return list
}

func wantsOf(endpoints []endpoint.Verdict) sliceplan.Wants {
	return sliceplan.Wants{Owner: testOwner(), Service: testService(), Endpoints: endpoints, MaxEndpoints: 100}
}

// carriedOut is what there is after a plan, and fails if the plan changed its input.
func carriedOut(t *testing.T, wants sliceplan.Wants, existing []*discoveryv1.EndpointSlice) (sliceplan.Plan, []*discoveryv1.EndpointSlice) {
	t.Helper()
	before := make([]*discoveryv1.EndpointSlice, len(existing))
	for i, slice := range existing {
		before[i] = slice.DeepCopy()
	}
	plan := sliceplan.Make(wants, existing)
	if !equality.Semantic.DeepEqual(before, existing) {
		t.Fatal("planning changed the existing slices, which are the cache's")
	}
	present := map[string]*discoveryv1.EndpointSlice{}
	for _, slice := range existing {
		present[slice.Name] = slice
	}
	for _, slice := range plan.Create {
		if present[slice.Name] != nil {
			t.Fatalf("creates %s, which exists", slice.Name)
		}
		present[slice.Name] = slice
	}
	for _, slice := range plan.Update {
		if present[slice.Name] == nil {
			t.Fatalf("updates %s, which does not exist", slice.Name)
		}
		present[slice.Name] = slice
	}
	for _, slice := range plan.Delete {
		delete(present, slice.Name)
	}
	after := slices.SortedFunc(maps.Values(present), sliceplan.ByName)
	if plan.Kept != len(after) {
		t.Fatalf("says that %d slices remain, but %d do", plan.Kept, len(after))
	}
	return plan, after
}

func writes(plan sliceplan.Plan) [3]int {
	return [3]int{len(plan.Create), len(plan.Update), len(plan.Delete)}
}

func yesNo(value bool) string {
	if value {
		return "T"
	}
	return "F"
}

func at(address string, port int32) farpointv1.Endpoint {
	return farpointv1.Endpoint{Address: address, Port: &port}
}

// noon is some time.
var noon = metav1.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 500e6, time.UTC))

// onePort are the ports of a Service with one port.
var onePort = []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}}

// policyNamed is one for all namespaces.
func policyNamed(name string, change func(*farpointv1.ExternalServicePolicySpec)) *farpointv1.ExternalServicePolicy {
	made := &farpointv1.ExternalServicePolicy{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1}}
	change(&made.Spec)
	return made
}

// confinedTo are the confines that policies make.
func confinedTo(t *testing.T, from ...*farpointv1.ExternalServicePolicy) *policy.Limits {
	t.Helper()
	var read []*policy.Policy
	for _, each := range from {
		made, err := policy.Read(each)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, made)
	}
	return policy.NewLimits(read, transport.NewDialer(egress.NewEgressPolicy(egress.EgressRules{})))
}

// annotate gives a slice an annotation as the operator would write it for what it holds.
func annotate(slice *discoveryv1.EndpointSlice, state slicestate.State) {
	state.Version = slicestate.Version
	state.Sum = slicestate.SumOf(slice)
	text, err := json.Marshal(state)
	if err != nil {
		panic(err)
	}
	slice.Annotations = map[string]string{farpointv1.SliceStateAnnotation: string(text)}
}

func planned(t *testing.T, spec farpointv1.ExternalServiceSpec, ports []corev1.ServicePort) targets.Targets {
	t.Helper()
	return plannedWith(t, &targets.Expansion{Spec: &spec}, ports)
}

// plannedWith judges endpoints whose names are resolved.
func plannedWith(t *testing.T, names *targets.Expansion, ports []corev1.ServicePort) targets.Targets {
	t.Helper()
	egress := egress.NewEgressPolicy(egress.EgressRules{})
	common, err := targets.NewSettings(names.Spec, targets.Certificates{}, targets.Login{})
	if err != nil {
		t.Fatal(err)
	}
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	return planner.Plan(names, ports, probedBy(common), &slicestate.Prior{})
}

// probedBy probes by settings that are sound.
func probedBy(common targets.Settings) targets.Probing {
	return targets.Probing{Sound: []*targets.Definition{{Settings: common}}}
}

// textOrNil returns nil for an empty text.
func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
