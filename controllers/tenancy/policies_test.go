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
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestSnapshot_LabelsAndPoliciesChange_LimitsFollow(t *testing.T) {
	dialer := transport.NewDialer(egress.NewPolicy(egress.Rules{}))
	namespace := func(name, team string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
	}
	selecting := func(name, team string, generation int64) *policy.Policy {
		from := fixtures.PolicyNamed(name, func(s *farpointv1.ExternalServicePolicySpec) {
			s.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{"team": farpointv1.LabelValue(team)}
		})
		from.Generation = generation
		p, err := policy.Read(from)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	none := &policySnapshot{none: true}
	first := newSnapshot([]*policy.Policy{selecting("p", "a", 1)}, []metav1.PartialObjectMetadata{namespace("x", "a"), namespace("y", "a"), namespace("z", "b")}, nil, dialer)
	if first.of["x"] == nil || first.of["x"] != first.of["y"] || first.of["z"] != nil {
		t.Errorf("%v", first.of)
	}
	differences := func(now, then *policySnapshot) string {
		list := now.differences(then)
		return strings.Join(slices.Sorted(slices.Values(list)), " ")
	}
	same := newSnapshot([]*policy.Policy{selecting("p", "a", 1)}, []metav1.PartialObjectMetadata{namespace("x", "a"), namespace("y", "b"), namespace("z", "b"), namespace("new", "b")}, first.byVersions, dialer)
	edited := newSnapshot([]*policy.Policy{selecting("p", "a", 2)}, []metav1.PartialObjectMetadata{namespace("x", "a"), namespace("z", "b")}, same.byVersions, dialer)
	gone := newSnapshot(nil, []metav1.PartialObjectMetadata{namespace("x", "a"), namespace("z", "b")}, edited.byVersions, dialer)
	for _, test := range []struct {
		now, then *policySnapshot
		want      string
	}{
		{first, none, "x y"}, {same, first, "new y"}, {edited, same, "x"}, {gone, edited, "x"}, {gone, gone, ""},
	} {
		if got := differences(test.now, test.then); got != test.want {
			t.Errorf("differences in %q, want %q", got, test.want)
		}
	}
}
