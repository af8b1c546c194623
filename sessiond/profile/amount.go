package profile

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"ninefold/namespaces/plan"
)

// ParseSize reads a number of bytes with K, M, G or T (powers of 1024) after
// it.
func ParseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "kKmMgGtT")
	shift := 0
	if unit := s[len(digits):]; len(unit) == 1 {
		shift = 10 * (1 + strings.Index("kmgt", strings.ToLower(unit)))
	} else if unit != "" {
		digits = ""
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, fmt.Errorf("%q is no size; write one like 512M or 2G", s)
	}
	return n << shift, nil
}

// parseAmount reads the value of a limit.
func parseAmount(v any) (uint64, error) {
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return uint64(v), nil
		}
	case string:
		if v == "unlimited" {
			return plan.Unlimited, nil
		}
		if n, err := ParseSize(v); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf(`%v is neither a whole number, nor a size like "2G", nor "unlimited"`, v)
}
