//! One stream of numbered messages as one receiver sees it: what is missing, doubled or late.

/// What a message is in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    InOrder,
    /// So many before it have not come.
    After(u64),
    /// It was missing; a later one came before it.
    Late,
    /// It had come already.
    Double,
}

/// A receiver's memory of one stream: the next number, and which of the 64 before it have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    next: u64,
    /// Bit 0 is `next - 1`.
    came: u64,
    missing: u64,
}

impl Stream {
    /// A stream that is joined at `number`.
    pub(crate) fn joined_at(number: u32) -> Self {
        Self { next: u64::from(number), ..Self::default() }
    }

    /// The whole number of which the wire has the lower half.
    #[inline]
    pub(crate) fn whole(&self, number: u32) -> u64 {
        let distance = number.wrapping_sub(self.next as u32) as i32;
        self.next.saturating_add_signed(i64::from(distance))
    }

    /// Notes that message `number` (of [`whole`](Self::whole)) has come.
    #[inline]
    pub(crate) fn note(&mut self, number: u64) -> Verdict {
        if number == self.next {
            self.next += 1;
            self.came = self.came << 1 | 1;
            return Verdict::InOrder;
        }
        self.note_other(number)
    }

    #[cold]
    fn note_other(&mut self, number: u64) -> Verdict {
        if number > self.next {
            let gap = number - self.next;
            self.came = u32::try_from(gap + 1).ok().and_then(|by| self.came.checked_shl(by)).unwrap_or(0) | 1;
            self.next = number + 1;
            self.missing += gap;
            return Verdict::After(gap);
        }
        let back = self.next - 1 - number;
        let bit = u32::try_from(back).ok().and_then(|by| 1_u64.checked_shl(by));
        let has_come = match bit {
            Some(bit) => self.came & bit != 0,
            // Too long ago to remember: if nothing is missing it must have come.
            None => self.missing == 0,
        };
        if has_come {
            return Verdict::Double;
        }
        self.came |= bit.unwrap_or(0);
        self.missing = self.missing.saturating_sub(1);
        Verdict::Late
    }

    /// How many numbers below the greatest have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// The number after the greatest that has come.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(numbers: &[u32]) -> (Vec<Verdict>, u64) {
        let mut stream = Stream::default();
        let verdicts = numbers
            .iter()
            .map(|number| {
                let whole = stream.whole(*number);
                stream.note(whole)
            })
            .collect();
        (verdicts, stream.missing())
    }

    #[test]
    fn each_fault_has_its_name() {
        use Verdict::{After, Double, InOrder, Late};
        assert_eq!(play(&[0, 1, 2]), (vec![InOrder; 3], 0));
        assert_eq!(play(&[0, 3, 4]), (vec![InOrder, After(2), InOrder], 2));
        assert_eq!(play(&[0, 2, 1]), (vec![InOrder, After(1), Late], 0));
        assert_eq!(play(&[0, 0, 1]), (vec![InOrder, Double, InOrder], 0));
        assert_eq!(play(&[0, 2, 1, 1, 2]), (vec![InOrder, After(1), Late, Double, Double], 0));
        assert_eq!(play(&[2, 0, 0, 1]), (vec![After(2), Late, Double, Late], 0));
    }

    #[test]
    fn old_messages_are_told_apart_as_far_as_can_be() {
        let mut numbers: Vec<u32> = (0..100).collect();
        numbers.push(3);
        assert_eq!(play(&numbers).0[100], Verdict::Double);
        let mut numbers: Vec<u32> = (0..100).filter(|number| *number != 3).collect();
        numbers.push(3);
        assert_eq!(play(&numbers).0[99], Verdict::Late);
        assert_eq!(play(&[0, 70, 5]).0[2], Verdict::Late);
    }

    #[test]
    fn numbers_go_on_after_the_wire_has_wrapped() {
        let mut stream = Stream { next: u64::from(u32::MAX), came: u64::MAX, missing: 0 };
        for (number, whole) in [(u32::MAX, 0xFFFF_FFFF_u64), (0, 0x1_0000_0000), (1, 0x1_0000_0001)] {
            assert_eq!(stream.whole(number), whole);
            assert_eq!(stream.note(whole), Verdict::InOrder);
        }
        assert_eq!(stream.whole(u32::MAX), 0xFFFF_FFFF);
    }

    #[test]
    fn a_stream_can_be_joined() {
        let mut stream = Stream::joined_at(500);
        assert_eq!(stream.note(500), Verdict::InOrder);
        assert_eq!((stream.next(), stream.missing()), (501, 0));
    }
}
