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

package v1

const (
	// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by on the
	// slices that Farpoint writes.
	ManagedBy = "externalservice-controller.farpoint.dev"
	// OwnerLabel names the ExternalService that an object written by Farpoint belongs to.
	OwnerLabel = "farpoint.dev/externalservice"
	// OwnerNamespaceLabel is the namespace of that ExternalService, on objects in other
	// namespaces. Objects in the same namespace do not have it.
	OwnerNamespaceLabel = "farpoint.dev/externalservice-namespace"
	// SliceStateAnnotation is the state of its endpoints that an EndpointSlice keeps for a restart
	// of the operator, in addition to their conditions. It is JSON that only the operator reads.
	SliceStateAnnotation = "farpoint.dev/state"
)
