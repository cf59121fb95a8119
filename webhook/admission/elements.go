package admission

import "bytes"

// maxDepth is how deep encoding/json follows lists and objects; it refuses what is
// deeper.
const maxDepth = 10000

// elements counts the elements of all lists in a JSON text: each may become a struct,
// whatever it is. A list without any counts as one. What is no JSON counts as it comes; the decoder refuses it.
//
// Nearly all reviews are too small for it to matter, and are not looked through: the
// commas and brackets that they have at most stand for the elements.
func elements(body []byte) int64 {
	if most := int64(bytes.Count(body, []byte(",")) + bytes.Count(body, []byte("["))); most*elementSize <= smallBody {
		return most
	}
	var count int64
	var lists []bool // of what encloses: whether it is a list
	for i := 0; i < len(body) && len(lists) <= maxDepth; i++ {
		switch body[i] {
		case '"':
			i = endOfString(body, i)
		case '[', '{':
			lists = append(lists, body[i] == '[')
			if body[i] == '[' {
				count++
			}
		case ']', '}':
			lists = lists[:max(0, len(lists)-1)]
		case ',':
			if len(lists) > 0 && lists[len(lists)-1] {
				count++
			}
		}
	}
	return count
}

// endOfString returns the index of the quote that ends the string that begins at i.
func endOfString(body []byte, i int) int {
	for i++; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}
