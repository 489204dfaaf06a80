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
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// hinted lists the hints of each endpoint, as in "a,b/node-1"; "" for none.
func hinted(present []*discoveryv1.EndpointSlice) []string {
	byAddress := map[string]string{}
	for _, slice := range present {
		for _, endpoint := range slice.Endpoints {
			var zones, nodes []string
			if endpoint.Hints != nil {
				for _, zone := range endpoint.Hints.ForZones {
					zones = append(zones, zone.Name)
				}
				for _, node := range endpoint.Hints.ForNodes {
					nodes = append(nodes, "/"+node.Name)
				}
			}
			byAddress[endpoint.Addresses[0]] = strings.Join(zones, ",") + strings.Join(nodes, "")
		}
	}
	var list []string
	for _, address := range slices.Sorted(maps.Keys(byAddress)) {
		list = append(list, byAddress[address])
	}
	return list
}

func inZone(zone string) *farpointv1.Endpoint { return &farpointv1.Endpoint{Zone: zone} }

func distributed(value string) func(*corev1.Service) {
	return func(service *corev1.Service) { service.Spec.TrafficDistribution = &value }
}

func annotated(key, value string) func(*corev1.Service) {
	return func(service *corev1.Service) { service.Annotations = map[string]string{key: value} }
}

func atNode(zone, node string) *farpointv1.Endpoint {
	return &farpointv1.Endpoint{Zone: zone, NodeName: node}
}

func byHand(zone string, zones ...string) *farpointv1.Endpoint {
	return &farpointv1.Endpoint{Zone: zone, ForZones: zones}
}

func inState(state farpointv1.EndpointState) *farpointv1.Endpoint {
	return &farpointv1.Endpoint{State: state}
}

func localInside(service *corev1.Service) {
	service.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
}

type hintCase struct {
	name      string
	change    func(*corev1.Service)
	endpoints []*farpointv1.Endpoint
	hints     string
	condition string // effective and reason, and part of the message
	message   string
}

func checkHints(t *testing.T, cases []hintCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			wants := fixtures.Wants(fixtures.Numbered(len(test.endpoints)))
			test.change(wants.Service)
			for i, spec := range test.endpoints {
				wants.Endpoints[i].Spec = spec
				wants.Endpoints[i].Name = fmt.Sprintf("%s:8080", wants.Endpoints[i].Text)
			}
			decision := sliceplan.DecideHints(wants.Service, wants.Endpoints)
			wants.Hints = decision.Hints
			_, after := fixtures.PlanAndApply(t, wants, nil)
			if got := strings.Join(hinted(after), "|"); got != test.hints {
				t.Errorf("hints %q, want %q", got, test.hints)
			}
			condition := ""
			if decision.Reason != "" {
				condition = fmt.Sprintf("%v %s", decision.Effective, decision.Reason)
			}
			if condition != test.condition || !strings.Contains(decision.Message, test.message) {
				t.Errorf("condition %q: %s; want %q: %s", condition, decision.Message, test.condition, test.message)
			}
			if second, _ := fixtures.PlanAndApply(t, wants, after); fixtures.Writes(second) != [3]int{} {
				t.Errorf("a second plan still has %v", fixtures.Writes(second))
			}
			wants.Hints = sliceplan.Hints{}
			if _, cleared := fixtures.PlanAndApply(t, wants, after); strings.Trim(strings.Join(hinted(cleared), ""), "|") != "" {
				t.Errorf("hints that nobody wants any more are %q", hinted(cleared))
			}
		})
	}
}

func TestHints_TrafficDistribution_PrefersZonesOrNodes(t *testing.T) {
	type endpoints = []*farpointv1.Endpoint
	checkHints(t, []hintCase{
		{"nobody asks", func(*corev1.Service) {}, endpoints{inZone("a"), inZone("b")}, "|", "", ""},
		{"PreferSameZone", distributed("PreferSameZone"), endpoints{inZone("a"), inZone("b")}, "a|b", "true HintsWritten", ""},
		{"PreferClose, its old name", distributed("PreferClose"), endpoints{inZone("a"), inZone("b")}, "a|b", "true HintsWritten", ""},
		{"PreferSameNode", distributed("PreferSameNode"), endpoints{atNode("a", "n1"), atNode("b", "n2")}, "a/n1|b/n2", "true HintsWritten", ""},
		{"PreferSameNode without nodes", distributed("PreferSameNode"), endpoints{atNode("a", "n1"), inZone("b")}, "a|b", "false EndpointWithoutNode", "10.0.0.2:8080 has no nodeName"},
		{"PreferSameNode without zones", distributed("PreferSameNode"), endpoints{atNode("", "n1"), atNode("", "n2")}, "/n1|/n2", "true HintsWritten", ""},
		{"PreferSameNode without either", distributed("PreferSameNode"), endpoints{inZone(""), atNode("b", "n2")}, "|", "false EndpointWithoutZone", ""},
		{"nodeName alone is no wish", distributed("PreferSameZone"), endpoints{atNode("a", "n1")}, "a", "true HintsWritten", ""},
		{"a zone is missing", distributed("PreferSameZone"), endpoints{inZone("a"), inZone("")}, "|", "false EndpointWithoutZone", "10.0.0.2:8080 has neither zone nor forZones"},
		{"an unknown value", distributed("PreferMars"), endpoints{inZone("a")}, "", "", ""},
		{"zones without endpoints that matter", distributed("PreferSameZone"), endpoints{inState(farpointv1.EndpointDisabled)}, "", "", ""},
	})
}

func TestHints_ForZones_CountBeforeTheZone(t *testing.T) {
	type endpoints = []*farpointv1.Endpoint
	checkHints(t, []hintCase{
		{"by hand for all", func(*corev1.Service) {}, endpoints{byHand("x", "a", "b"), byHand("", "c")}, "a,b|c", "true HintsWritten", ""},
		{"by hand for some", func(*corev1.Service) {}, endpoints{byHand("", "a"), inZone("b")}, "|", "false EndpointWithoutZone", "10.0.0.2:8080 has no forZones, although others have"},
		{"by hand before its zone", distributed("PreferSameZone"), endpoints{byHand("a", "c"), inZone("b")}, "c|b", "true HintsWritten", ""},
		{"by hand in place of a zone", distributed("PreferSameZone"), endpoints{byHand("", "c"), inZone("b")}, "c|b", "true HintsWritten", ""},
	})
}

func TestHints_EndpointThatIsNotReady_NeedsNone(t *testing.T) {
	type endpoints = []*farpointv1.Endpoint
	checkHints(t, []hintCase{
		{"a disabled one needs none", distributed("PreferSameZone"), endpoints{inZone("a"), inState(farpointv1.EndpointDisabled)}, "a|", "true HintsWritten", ""},
		{"a draining one needs none", distributed("PreferSameZone"), endpoints{inZone("a"), inState(farpointv1.EndpointDraining)}, "a|", "true HintsWritten", ""},
		{"a draining one that is ready needs some", func(s *corev1.Service) {
			distributed("PreferSameZone")(s)
			s.Spec.PublishNotReadyAddresses = true
		}, endpoints{inZone("a"), inState(farpointv1.EndpointDraining)}, "|", "false EndpointWithoutZone", ""},
	})
}

func TestHints_TopologyMode_IsDeprecated(t *testing.T) {
	type endpoints = []*farpointv1.Endpoint
	checkHints(t, []hintCase{
		{"topology-mode", annotated("service.kubernetes.io/topology-mode", "Auto"), endpoints{inZone("a"), inZone("b")}, "a|b", "true TopologyModeDeprecated", "annotation service.kubernetes.io/topology-mode is deprecated"},
		{"topology-aware-hints", annotated("service.kubernetes.io/topology-aware-hints", "auto"), endpoints{inZone("a")}, "a", "true TopologyModeDeprecated", "annotation service.kubernetes.io/topology-aware-hints"},
		{"the older annotation says no", func(s *corev1.Service) {
			s.Annotations = map[string]string{"service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "disabled"}
		}, endpoints{inZone("a")}, "", "", ""},
		{"topology-mode without zones", annotated("service.kubernetes.io/topology-mode", "Auto"), endpoints{inZone("")}, "", "false EndpointWithoutZone", ""},
		{"another topology-mode", annotated("service.kubernetes.io/topology-mode", "Disabled"), endpoints{inZone("a")}, "", "", ""},
		{"the annotation before the field", func(s *corev1.Service) {
			annotated("service.kubernetes.io/topology-mode", "Auto")(s)
			distributed("PreferSameNode")(s)
		}, endpoints{atNode("a", "n1")}, "a", "true TopologyModeDeprecated", ""},
	})
}

func TestHints_LocalTrafficPolicy_NeedsNodes(t *testing.T) {
	type endpoints = []*farpointv1.Endpoint
	checkHints(t, []hintCase{
		{"internal Local", localInside, endpoints{inZone("a")}, "", "false LocalTrafficPolicy", "internalTrafficPolicy Local leads only to endpoints on the client's node, and 10.0.0.1:8080 is on no node"},
		{"external Local", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }, endpoints{atNode("a", "n1"), inZone("a"), inZone("b")}, "||", "false LocalTrafficPolicy", "10.0.0.2:8080, 10.0.0.3:8080 are on no node"},
		{"Local with nodes", localInside, endpoints{atNode("a", "n1")}, "", "", ""},
		{"Local and zones", func(s *corev1.Service) {
			localInside(s)
			distributed("PreferSameZone")(s)
		}, endpoints{inZone("a")}, "a", "false LocalTrafficPolicy", ""},
		{"Local without endpoints that matter", localInside, endpoints{inState(farpointv1.EndpointDisabled)}, "", "", ""},
	})
}

// kube-proxy looks at all endpoints of a Service, regardless of their writer.
func TestHints_BesideOthers(t *testing.T) {
	const effective, void = "true HintsWritten", "false OthersWithoutHints"
	slice := func(s *discoveryv1.EndpointSlice, hints ...*discoveryv1.EndpointHints) *discoveryv1.EndpointSlice {
		for i := range hints {
			s.Endpoints[i].Hints = hints[i]
		}
		return s
	}
	near := &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}}}
	onNode := &discoveryv1.EndpointHints{ForNodes: []discoveryv1.ForNode{{Name: "n1"}}}
	type others = []*discoveryv1.EndpointSlice
	tests := []struct {
		name      string
		change    func(*corev1.Service)
		endpoint  *farpointv1.Endpoint
		rivals    others
		condition string
		message   string
	}{
		{"nobody else", distributed("PreferSameZone"), inZone("a"), nil, effective, ""},
		{"nobody asks", func(*corev1.Service) {}, inZone("a"), others{fixtures.RivalSlice("other", "10.0.0.9")}, "", ""},
		{"another object with hints", distributed("PreferSameZone"), inZone("a"), others{slice(fixtures.RivalSlice("other", "10.0.0.9"), near)}, effective, ""},
		{"another object whose disabled endpoint has none", distributed("PreferSameZone"), inZone("a"), others{slice(fixtures.RivalSlice("other", "10.0.0.8", "10.0.0.9"), nil, near)}, effective, ""},
		{"another object without", distributed("PreferSameZone"), inZone("a"), others{slice(fixtures.RivalSlice("near", "10.0.0.8"), near), fixtures.RivalSlice("other", "10.0.0.9")}, void, "there are none in ExternalService other: set"},
		{"another object without endpoints", distributed("PreferSameZone"), inZone("a"), others{fixtures.RivalSlice("other")}, effective, ""},
		{"another object with hints at nodes", distributed("PreferSameZone"), inZone("a"), others{slice(fixtures.RivalSlice("other", "10.0.0.9"), onNode)}, void, ""},
		{"the same where there are only these", distributed("PreferSameNode"), &farpointv1.Endpoint{NodeName: "n2"}, others{slice(fixtures.RivalSlice("other", "10.0.0.9"), onNode)}, effective, ""},
		{"what is void already", distributed("PreferSameZone"), inZone(""), others{fixtures.RivalSlice("other", "10.0.0.9")}, "false EndpointWithoutZone", ""},
		{"Pods, for which Kubernetes does the same", func(s *corev1.Service) {
			distributed("PreferSameZone")(s)
			s.Spec.Selector = map[string]string{"app": "db"}
		}, inZone("a"), nil, effective, ""},
		{"Pods, and hints by hand", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "db"} }, &farpointv1.Endpoint{ForZones: []string{"a"}}, nil, void, "the slices of the Service's Pods"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wants := fixtures.Wants(fixtures.Numbered(1))
			test.change(wants.Service)
			wants.Endpoints[0].Spec = test.endpoint
			alone := sliceplan.DecideHints(wants.Service, wants.Endpoints)
			decision := alone.BesideOthers(wants.Service, test.rivals)
			condition := ""
			if decision.Reason != "" {
				condition = fmt.Sprintf("%v %s", decision.Effective, decision.Reason)
			}
			if condition != test.condition || !strings.Contains(decision.Message, test.message) {
				t.Errorf("condition %q: %s; want %q: %s", condition, decision.Message, test.condition, test.message)
			}
			if decision.Hints != alone.Hints {
				t.Errorf("others change the hints from %+v to %+v", alone.Hints, decision.Hints)
			}
		})
	}
}

// One endpoint without a zone dies and comes back. If hints followed its health, each
// time all slices would be written.
func TestHints_HealthChanges_StayTheSame(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(300))
	distributed("PreferSameZone")(wants.Service)
	for i := range wants.Endpoints {
		wants.Endpoints[i].Spec = inZone("a")
	}
	wants.Endpoints[7].Spec = inZone("")
	wants.Hints = sliceplan.DecideHints(wants.Service, wants.Endpoints).Hints
	_, present := fixtures.PlanAndApply(t, wants, nil)
	for _, state := range []health.State{health.StateUnhealthy, health.StateHealthy, health.StateUnknown} {
		wants.Endpoints = slices.Clone(wants.Endpoints)
		wants.Endpoints[7].Health = health.New(state)
		wants.Hints = sliceplan.DecideHints(wants.Service, wants.Endpoints).Hints
		var plan sliceplan.Plan
		if plan, present = fixtures.PlanAndApply(t, wants, present); fixtures.Writes(plan)[0]+fixtures.Writes(plan)[1]+fixtures.Writes(plan)[2] > 1 {
			t.Errorf("create, update, delete = %v for one endpoint that is %v now", fixtures.Writes(plan), state)
		}
	}
}
