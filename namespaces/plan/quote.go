package plan

import "strings"

// quote writes s as one word of a namespace file: bare if no byte of it means
// anything to a reader, otherwise between ' with each ' in it doubled, as
// rc(1) does.
func quote(s string) string {
	if s != "" && s[0] != '-' && s[0] != '#' {
		bare := true
		for i := range len(s) {
			if !bareByte(s[i]) {
				bare = false
				break
			}
		}
		if bare {
			return s
		}
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// bareByte lists what is printed without quotes; the reader takes more.
func bareByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("/._-+=,:@%~", c) >= 0
}
