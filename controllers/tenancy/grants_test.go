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
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestPermits(t *testing.T) {
	sound := func() *gatewayv1.ReferenceGrantSpec {
		return &gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{
				{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute", Namespace: "integration"},
				{Group: "farpoint.dev", Kind: "ExternalService", Namespace: "integration"},
			},
			To: []gatewayv1.ReferenceGrantTo{{Kind: "Secret"}, {Kind: "Service"}},
		}
	}
	tests := []struct {
		name   string
		change func(*gatewayv1.ReferenceGrantSpec)
		want   bool
	}{
		{"to all Services", func(*gatewayv1.ReferenceGrantSpec) {}, true},
		{"to the Service by name", func(g *gatewayv1.ReferenceGrantSpec) { g.To[1].Name = ptr.To[gatewayv1.ObjectName]("legacy") }, true},
		{"to an empty name", func(g *gatewayv1.ReferenceGrantSpec) { g.To[1].Name = ptr.To[gatewayv1.ObjectName]("") }, true},
		{"to another Service", func(g *gatewayv1.ReferenceGrantSpec) { g.To[1].Name = ptr.To[gatewayv1.ObjectName]("other") }, false},
		{"to another kind of that name", func(g *gatewayv1.ReferenceGrantSpec) {
			g.To[0].Name, g.To[1].Name = ptr.To[gatewayv1.ObjectName]("legacy"), ptr.To[gatewayv1.ObjectName]("other")
		}, false},
		{"to another kind", func(g *gatewayv1.ReferenceGrantSpec) { g.To[1].Kind = "ConfigMap" }, false},
		{"to another group", func(g *gatewayv1.ReferenceGrantSpec) { g.To[1].Group = "serving.knative.dev" }, false},
		{"to nothing", func(g *gatewayv1.ReferenceGrantSpec) { g.To = nil }, false},
		{"from another namespace", func(g *gatewayv1.ReferenceGrantSpec) { g.From[1].Namespace = "elsewhere" }, false},
		{"from another kind", func(g *gatewayv1.ReferenceGrantSpec) { g.From[1].Kind = "Service" }, false},
		{"from another group", func(g *gatewayv1.ReferenceGrantSpec) { g.From[1].Group = "" }, false},
		{"from nobody", func(g *gatewayv1.ReferenceGrantSpec) { g.From = nil }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			grant := sound()
			test.change(grant)
			if got := permits(grant, "integration", "legacy"); got != test.want {
				t.Errorf("permits: %v, want %v", got, test.want)
			}
		})
	}
}
