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

package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const (
	namespace = "integration"
	name      = "legacy-api"
)

// places are the endpoints: addresses of the ranges that are kept for documentation
// (RFC 5737, RFC 3849), which nobody has.
var places = []struct{ address, zone string }{
	{"192.0.2.10", "zone-a"},
	{"192.0.2.20", "zone-b"},
	{"2001:db8::10", "zone-a"},
	{"2001:db8::20", "zone-b"},
}

// externalService has an endpoint at each place, each with a URL of its own.
func externalService(urls []string) *farpointv1.ExternalService {
	object := &farpointv1.ExternalService{
		TypeMeta:   metav1.TypeMeta{APIVersion: farpointv1.GroupVersion.String(), Kind: "ExternalService"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: farpointv1.ExternalServiceSpec{
			ServiceTemplate: &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{
				IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack),
				Ports:          []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80, TargetPort: new(int32(8080))}},
			}},
			HealthCheckInterval: &metav1.Duration{Duration: time.Second},
			HealthCheck: farpointv1.HealthCheck{
				FastInterval:     &metav1.Duration{Duration: 500 * time.Millisecond},
				FailureThreshold: 3,
				SuccessThreshold: 2,
			},
		},
	}
	for i, place := range places {
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
			Address: place.address, Zone: place.zone, HealthCheckURL: farpointv1.HealthCheckURL(urls[i]),
		})
	}
	return object
}

// manifest is the object as a user would write it.
func manifest(object *farpointv1.ExternalService) (string, error) {
	written := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        map[string]string              `json:"metadata"`
		Spec            farpointv1.ExternalServiceSpec `json:"spec"`
	}{object.TypeMeta, map[string]string{"namespace": object.Namespace, "name": object.Name}, object.Spec}
	text, err := yaml.Marshal(written)
	if err != nil {
		return "", fmt.Errorf("encode the ExternalService: %w", err)
	}
	return string(text), nil
}
