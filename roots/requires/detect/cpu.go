package detect

import (
	"os"
	"slices"
	"strings"
)

// flags are what each level of x86-64 adds, in the words of /proc/cpuinfo ("Micro-architecture
// levels" in the x86-64 psABI). abm is LZCNT, pni SSE3.
var flags = [][]string{
	{"lm", "cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2"},
	{"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
	{"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
	{"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}

// level is the level of the first processor that a cpuinfo tells of, 0 where it is none.
func level(cpuinfo string) int {
	f, err := os.Open(cpuinfo)
	if err != nil {
		return 0
	}
	defer f.Close()
	var have []string
	scan(f, func(line string) {
		if key, value, ok := strings.Cut(line, ":"); ok && have == nil && strings.TrimSpace(key) == "flags" {
			have = strings.Fields(value)
		}
	})
	for n, want := range flags {
		for _, flag := range want {
			if !slices.Contains(have, flag) {
				return n
			}
		}
	}
	return len(flags)
}
