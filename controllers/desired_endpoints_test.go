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
	"testing"

	corev1 "k8s.io/api/core/v1"

	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestDesiredEndpoints_TooManyAddresses_AnnotationComesAndGoes(t *testing.T) {
	tooMany := sliceplan.EndpointsContent{Total: sliceplan.EndpointsCapacity + 1}
	endpoints := desiredEndpoints(fixtures.Owner(), fixtures.Service(), &tooMany, nil)
	if got := endpoints.Annotations[corev1.EndpointsOverCapacity]; got != "truncated" {
		t.Errorf("the annotation is %q", got)
	}
	if annotations := desiredEndpoints(fixtures.Owner(), fixtures.Service(), &sliceplan.EndpointsContent{}, endpoints).Annotations; len(annotations) > 0 {
		t.Errorf("annotations stay: %v", annotations)
	}
}
