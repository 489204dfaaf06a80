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

// Package references reads the Secrets and ConfigMaps that health checks refer to, uncached and
// from the namespace of the ExternalService alone.
//
// A [Set] reads an object again every 20 seconds: that is when a rotated Secret is in use. It
// keeps what the object held last while the API server does not answer, and for a grace time
// after somebody has taken it away. What it hands to package targets are values; its errors
// name objects and never what is in them.
package references
