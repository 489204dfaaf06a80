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

// Package controllers turns ExternalServices into targets for the probes, and what the probes
// find into EndpointSlices, status and Events: reconcilers, watches, flags and wiring. The
// packages below it hold the decisions; each of them says what it is for. Only this package
// writes to the API server, except for the record of package alerting and the Lease of package
// apiserver.
package controllers
