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

package protocol

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// maxBodySteps bounds what it takes to look for a pattern in a body. A step is one
	// instruction of the pattern's program at one byte, of which all are taken at the worst.
	// It takes some 6 ns, so that this is 25 ms.
	maxBodySteps = 4 << 20
	// maxInstructions bounds the program, which is kept.
	maxInstructions = 4096
)

// CompileBody reads the regular expression that must match in the first maxBytes of a body; 0
// means DefaultMaxBodyBytes. Few characters can be many instructions, such as x{1,1000}, and
// could take minutes, which no deadline ends. The error tells the user what to write instead.
func CompileBody(pattern string, maxBytes int) (*regexp.Regexp, error) {
	if maxBytes == 0 {
		maxBytes = DefaultMaxBodyBytes
	}
	compiled, err := regexp.Compile(pattern)
	var size int
	if err == nil {
		size, err = programSize(pattern)
	}
	if err != nil {
		return nil, fmt.Errorf("healthCheck.http.expectedBody is not a regular expression in RE2 syntax: %w", err)
	}
	_, literal := compiled.LiteralPrefix() // for which there are faster ways
	switch most := maxBodySteps / size; {
	case size > maxInstructions:
		return nil, fmt.Errorf("healthCheck.http.expectedBody repeats too much: shorten it, it expands to more than %d characters", maxInstructions)
	case !literal && maxBytes > most:
		return nil, fmt.Errorf("healthCheck.http.expectedBody takes too long to match against %d bytes: shorten its repetitions, or set maxBodyBytes to %d", maxBytes, most)
	}
	return compiled, nil
}

// programSize counts the instructions that a regular expression is compiled to.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}
