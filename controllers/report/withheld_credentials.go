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

package report

import (
	"fmt"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// withheldCredentials describes, for a condition's message, the endpoints that ask for a password
// in a way in which only a verified server gets it. That shows only when a probe logs in. It is a
// fault of the settings, and says nothing about the endpoint.
func withheldCredentials(verdicts []endpoint.Verdict) (reason, message string) {
	count := 0
	for i := range verdicts {
		if !asksForPassword(&verdicts[i].Health) {
			continue
		}
		if count++; count == 1 {
			message = fmt.Sprintf("endpoint %s: %s", verdicts[i].Name, withheldMessage(&verdicts[i].Health))
		}
	}
	if count == 0 {
		return "", ""
	}
	if count > 1 {
		message += fmt.Sprintf("; and %d more, see status.endpoints", count-1)
	}
	return farpointv1.CredentialsWithheldReason, message
}

// asksForPassword reports whether credentials were withheld from a target for as long as it takes
// to be the reason for its verdict, or to make that stale.
func asksForPassword(current *health.Health) bool {
	return current.Cause.Reason == probes.ReasonCredentialsWithheld || current.StaleReason == probes.ReasonCredentialsWithheld
}

// withheldMessage names the method that the server asked for, if that is known.
func withheldMessage(current *health.Health) string {
	result := current.Cause
	if result.Reason != probes.ReasonCredentialsWithheld {
		result = probes.Result{Outcome: probes.Unknown, Reason: probes.ReasonCredentialsWithheld}
	}
	return result.Message()
}
