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

package docs_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Limits of the API server for what it estimates of a CRD when that is applied
// (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
const (
	maxEstimateOfRule = 10_000_000
	maxEstimateOfCRD  = 100_000_000
)

// The estimates stay below half of each limit, so that rules can be added, and later versions of
// Kubernetes may estimate a little more.
func TestCELCost_Estimated_IsUnderHalfOfTheLimits(t *testing.T) {
	for _, root := range structuralSchemas(t) {
		var total, highest uint64
		walkSchema(root, 1, func(part *schema.Structural, cardinality uint64) {
			compiled, err := cel.Compile(part, model.SchemaDeclType(part, part == root), celconfig.PerCallLimit, environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.NewExpressionsEnvLoader())
			if err != nil {
				t.Fatal(err)
			}
			for i, rule := range compiled {
				cost := rule.MaxCost * cardinality
				total, highest = total+cost, max(highest, cost)
				if cost > maxEstimateOfRule/2 {
					t.Errorf("the cost of %q is estimated at %d", part.XValidations[i].Rule, cost)
				}
			}
		})
		t.Logf("all rules: %d, the highest: %d", total, highest)
		if total > maxEstimateOfCRD/2 {
			t.Errorf("the cost of all rules is estimated at %d", total)
		}
	}
}

// walkSchema calls apply for a schema and all below it, with how often each can be in an object.
func walkSchema(part *schema.Structural, cardinality uint64, apply func(*schema.Structural, uint64)) {
	apply(part, cardinality)
	for name := range part.Properties {
		property := part.Properties[name]
		walkSchema(&property, cardinality, apply)
	}
	if part.Items != nil && part.ValueValidation != nil && part.ValueValidation.MaxItems != nil {
		walkSchema(part.Items, cardinality*uint64(*part.ValueValidation.MaxItems), apply)
	}
	if part.AdditionalProperties != nil && part.ValueValidation != nil && part.ValueValidation.MaxProperties != nil {
		walkSchema(part.AdditionalProperties.Structural, cardinality*uint64(*part.ValueValidation.MaxProperties), apply)
	}
}

// The largest objects, which etcd would hardly take (1.5 MiB), cost less than half of what an
// API server allows for one call and for an object.
func TestCELCost_OfTheLargestObjects_IsUnderHalfOfTheLimits(t *testing.T) {
	var root *schema.Structural
	for _, one := range structuralSchemas(t) {
		spec := one.Properties["spec"]
		if _, ok := spec.Properties["endpoints"]; ok {
			root = one
		}
	}
	validator := cel.NewValidator(root, true, celconfig.PerCallLimit/2)
	longest := "http://" + strings.Repeat("a.", 120) + "example:8080/" + strings.Repeat("a", 512-240-7-13)
	for name, object := range map[string]map[string]any{
		"long names and URLs": largest(strings.Repeat("a.", 126)+"b", longest, 1),
		"16 ports for each":   largest("2001:db8:1111:2222:3333:4444:5555:6666", "https://a.example:8443/health", 16),
	} {
		const budget = int64(celconfig.RuntimeCELCostBudget / 2)
		errs, left := validator.Validate(t.Context(), nil, root, object, nil, budget)
		if len(errs) > 0 {
			t.Errorf("%s: %.2000v", name, errs)
		}
		t.Logf("%s: %d of %d", name, budget-left, celconfig.RuntimeCELCostBudget)
	}
}

// largest is an ExternalService of 1,000 endpoints.
func largest(address, url string, ports int) map[string]any {
	var list []any
	for i := range ports {
		list = append(list, map[string]any{"name": fmt.Sprintf("port-%d", i), "port": int64(8000 + i), "appProtocol": "kubernetes.io/h2c"})
	}
	var endpoints []any
	for range 1000 {
		endpoint := map[string]any{"address": address, "healthCheckURL": url, "hostname": strings.Repeat("a", 63), "zone": strings.Repeat("a", 63), "ports": list}
		endpoints = append(endpoints, endpoint)
	}
	return map[string]any{
		"apiVersion": "farpoint.dev/v1", "kind": "ExternalService", "metadata": map[string]any{"name": strings.Repeat("a", 63)},
		"spec": map[string]any{
			"endpoints": endpoints, "ports": list, "healthCheckURL": url, "healthCheckInterval": "10s",
			"healthCheck": map[string]any{
				"timeout": "2s", "credentialsSecretRef": map[string]any{"name": "a"}, "sendCredentialsToUnverifiedServers": true,
				"http": map[string]any{"method": "GET", "followRedirects": true, "drainStatuses": []any{"500-599"}, "expectedStatuses": []any{"200-399"}},
				"tls":  map[string]any{"minValidity": "168h", "serverName": "a.example"},
			},
		},
	}
}
