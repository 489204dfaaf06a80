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

package controllers_test

import (
	"k8s.io/apimachinery/pkg/labels"

	"slices"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// objections returns the operator's objections to an ExternalService in a namespace with these
// labels, where it is the only one: those by policies, and the others.
func objections(policies []farpointv1.ExternalServicePolicy, of map[string]string, object *farpointv1.ExternalService) (byPolicies, others []string) {
	var read []*policy.Policy
	for i := range policies {
		parsed, err := policy.Read(&policies[i])
		if err != nil {
			others = append(others, err.Error())
		}
		if parsed.Namespaces.Matches(labels.Set(of)) {
			read = append(read, parsed)
		}
	}
	rules := egress.NewPolicy(egress.Rules{})
	dialer := transport.NewDialer(rules)
	within := policy.NewLimits(read, dialer)
	common, err := targets.NewSettings(&object.Spec, targets.Certificates{}, targets.Login{})
	if err != nil {
		return byPolicies, append(others, err.Error())
	}
	timing := targets.TimingOf(&object.Spec)
	if slowed := within.ClampTiming(&timing); slowed != "" {
		byPolicies = append(byPolicies, slowed)
	}
	planner := targets.Planner{Registry: protocol.NewRegistry(dialer), Egress: rules}
	for _, rejection := range planner.Within(within, within.Room(object, nil)).Plan(&targets.Expansion{Spec: &object.Spec}, nil, targets.Probing{Sound: []*targets.Definition{{Settings: common}}}, &slicestate.Prior{}).Rejected {
		if rejection.Reason == farpointv1.NotAllowedByPolicyReason {
			byPolicies = append(byPolicies, rejection.Message)
		} else {
			others = append(others, rejection.Message)
		}
	}
	slices.Sort(byPolicies)
	return byPolicies, others
}
