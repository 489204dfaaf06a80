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

package apiserver

import (
	"context"
	"slices"
	"testing"
)

type heardWarnings struct{ messages []string }

func (h *heardWarnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, message string) {
	h.messages = append(h.messages, message)
}

func TestWarningFilter_DeprecatedEndpoints_AreDropped(t *testing.T) {
	heard := &heardWarnings{}
	for _, message := range []string{
		"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice", // k8s.io/kubernetes pkg/apis/core/v1
		"spec.SessionAffinity is ignored for headless services",
	} {
		WarningFilter{heard}.HandleWarningHeaderWithContext(t.Context(), 299, "-", message)
	}
	if want := []string{"spec.SessionAffinity is ignored for headless services"}; !slices.Equal(heard.messages, want) {
		t.Errorf("heard %q, want %q", heard.messages, want)
	}
}
