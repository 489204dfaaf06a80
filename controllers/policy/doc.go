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

// Package policy says what ExternalServicePolicies allow.
//
// [Read] makes one policy ready to decide by. [Limits] are what all policies that select a
// namespace say together: where endpoints may be and how many, by which names they may be
// found, and where and how often they may be probed. No limits are a nil pointer.
//
// Which policies select a namespace at the moment is known to package tenancy. This one knows
// no client, no clock and no cache.
package policy
