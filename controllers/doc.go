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

// Package controllers turns ExternalServices into targets for the probes, and what the
// probes find into EndpointSlices, status and Events.
//
// What is decided is decided by pure code: targets.go says which endpoints are sound,
// slices.go what has to be written, status.go what to say about it. Around them,
// service.go and apply.go are all that writes to the API server besides the status, and
// externalservice_controller.go is the order in which things happen.
package controllers
