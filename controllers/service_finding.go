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
	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/ownership"
)

// serviceFinding is what came of looking for the target Service.
type serviceFinding struct {
	// service is nil if there is none that may lead to the endpoints.
	service *corev1.Service
	// reason and message are those of the condition TargetServiceResolved.
	reason, message string
	// awaited means that what is missing may come without an edit of the
	// ExternalService.
	awaited bool
}

func (f serviceFinding) resolved() bool { return f.reason == farpointv1.ServiceResolvedReason }

// namespace is where the slices belong.
func (f serviceFinding) namespace(owner *farpointv1.ExternalService) string {
	if f.service != nil {
		return f.service.Namespace
	}
	return ownership.TargetService(owner).Namespace
}
