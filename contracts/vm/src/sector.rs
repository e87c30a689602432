//! Sector codes of the published list: ISIC Rev. 4 (United Nations, Statistical Papers M 4/Rev. 4), sections and
//! divisions.
//!
//! T-11. The 21 sections and 88 divisions are 109 codes, so a set of them is one `u128`. `data/isic-rev4.csv` has their
//! titles; a test compares it with the table here.

use std::fmt;

/// Letter, first and last division, title, title in Chinese. The divisions of a section follow each other without a
/// gap.
pub const SECTIONS: [(u8, u8, u8, &str, &str); 21] = [
    (b'A', 1, 3, "Agriculture, forestry and fishing", "农业、林业及渔业"),
    (b'B', 5, 9, "Mining and quarrying", "采矿和采石"),
    (b'C', 10, 33, "Manufacturing", "制造业"),
    (b'D', 35, 35, "Electricity, gas, steam and air conditioning supply", "电、煤气、蒸气和空调的供应"),
    (
        b'E',
        36,
        39,
        "Water supply; sewerage, waste management and remediation activities",
        "供水；污水处理、废物管理和补救活动",
    ),
    (b'F', 41, 43, "Construction", "建筑业"),
    (
        b'G',
        45,
        47,
        "Wholesale and retail trade; repair of motor vehicles and motorcycles",
        "批发和零售业；汽车和摩托车的修理",
    ),
    (b'H', 49, 53, "Transportation and storage", "运输和储存"),
    (b'I', 55, 56, "Accommodation and food service activities", "食宿服务活动"),
    (b'J', 58, 63, "Information and communication", "信息和通信"),
    (b'K', 64, 66, "Financial and insurance activities", "金融和保险活动"),
    (b'L', 68, 68, "Real estate activities", "房地产活动"),
    (b'M', 69, 75, "Professional, scientific and technical activities", "专业、科学和技术活动"),
    (b'N', 77, 82, "Administrative and support service activities", "行政和辅助活动"),
    (b'O', 84, 84, "Public administration and defence; compulsory social security", "公共管理与国防；强制性社会保障"),
    (b'P', 85, 85, "Education", "教育"),
    (b'Q', 86, 88, "Human health and social work activities", "人体健康和社会工作活动"),
    (b'R', 90, 93, "Arts, entertainment and recreation", "艺术、娱乐和文娱活动"),
    (b'S', 94, 96, "Other service activities", "其他服务活动"),
    (
        b'T',
        97,
        98,
        "Activities of households as employers; undifferentiated goods- and services-producing activities of \
         households for own use",
        "家庭作为雇主的活动；家庭自用、未加区分的物品生产及服务活动",
    ),
    (b'U', 99, 99, "Activities of extraterritorial organizations and bodies", "国际组织和机构的活动"),
];

const fn section_starts() -> [u8; 22] {
    let mut starts = [0; 22];
    let mut at = 0;
    while at < 21 {
        starts[at + 1] = starts[at] + 2 + SECTIONS[at].2 - SECTIONS[at].1;
        at += 1;
    }
    starts
}

/// Where a section stands in the list; its divisions follow it.
const STARTS: [u8; 22] = section_starts();
pub const CODES: u8 = STARTS[21];

/// A section (`C`) or a division (`C10`): the ASCII letter in bits 8 to 15, the division's number (1 to 99) in bits 0
/// to 7, 0 there for the section as a whole. `C10` is 0x430A, `A` is 0x4100. Every `u32` can be held, for a loan states
/// its own; whether the list has it is [`SectorCode::position`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SectorCode(pub u32);

impl SectorCode {
    /// A code of the list, as people write it: a letter, and the division in two digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (&letter, digits) = text.as_bytes().split_first()?;
        let division = match digits {
            [] => 0,
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] if (tens, ones) != (&b'0', &b'0') => {
                u32::from(tens - b'0') * 10 + u32::from(ones - b'0')
            }
            _ => return None,
        };
        let code = Self(u32::from(letter) << 8 | division);
        code.position().map(|_| code)
    }

    /// Its place in the list, 0 to 108; none if the list does not have it.
    #[inline]
    pub fn position(self) -> Option<u8> {
        let section = (self.0 >> 8).checked_sub(u32::from(b'A')).filter(|section| *section < 21)? as usize;
        let division = (self.0 & 0xff) as u8;
        let (_, first, last, ..) = SECTIONS[section];
        match division {
            0 => Some(STARTS[section]),
            _ if (first..=last).contains(&division) => Some(STARTS[section] + 1 + division - first),
            _ => None,
        }
    }

    /// `position` below [`CODES`].
    pub fn at(position: u8) -> Self {
        let section = STARTS.iter().rposition(|start| *start <= position).unwrap_or(0).min(20);
        let (letter, first, ..) = SECTIONS[section];
        let division = match position - STARTS[section] {
            0 => 0,
            within => first + within - 1,
        };
        Self(u32::from(letter) << 8 | u32::from(division))
    }

    /// Of its section, in English and Chinese; empty if the list does not have it.
    pub fn section_titles(self) -> (&'static str, &'static str) {
        let section = SECTIONS.iter().find(|(letter, ..)| u32::from(*letter) == self.0 >> 8);
        section.map_or(("", ""), |(_, _, _, english, chinese)| (english, chinese))
    }

    fn is_section(self) -> bool {
        self.0 & 0xff == 0
    }
}

impl fmt::Display for SectorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match char::from_u32(self.0 >> 8).filter(char::is_ascii_uppercase) {
            None => write!(f, "0x{:x}", self.0),
            Some(letter) if self.is_section() => write!(f, "{letter}"),
            Some(letter) => write!(f, "{letter}{:02}", self.0 & 0xff),
        }
    }
}

/// Codes of the list, a bit for each position. A set that has a section has all its divisions, and says so in that bit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SectorSet(u128);

impl SectorSet {
    pub const ALL: Self = Self((1 << CODES) - 1);

    /// A section stands for itself and its divisions: money for "A" may be lent to A01.
    pub fn insert(&mut self, code: SectorCode) {
        let Some(position) = code.position() else { return };
        self.0 |= 1 << position;
        if code.is_section() {
            let (_, first, last, ..) = SECTIONS[((code.0 >> 8) - u32::from(b'A')) as usize];
            (position + 1..=position + 1 + last - first).for_each(|division| self.0 |= 1 << division);
        }
    }

    #[inline]
    pub fn contains(self, position: u8) -> bool {
        self.0 >> position & 1 == 1
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn bits(self) -> u128 {
        self.0
    }

    /// None if a bit lies beyond the list, or a section is in the set without one of its divisions.
    pub fn from_bits(bits: u128) -> Option<Self> {
        let mut closed = Self(0);
        (0..CODES)
            .filter(|position| bits >> position & 1 == 1)
            .for_each(|position| closed.insert(SectorCode::at(position)));
        (closed.0 == bits).then_some(closed)
    }

    /// Shortest way to write it: whole sections, runs of divisions of one section as (first, last), in list order.
    pub fn runs(self) -> Vec<(SectorCode, SectorCode)> {
        let mut runs: Vec<(SectorCode, SectorCode)> = Vec::new();
        let mut position = 0;
        while position < CODES {
            let code = SectorCode::at(position);
            if !self.contains(position) {
                position += 1;
            } else if code.is_section() {
                runs.push((code, code));
                position = STARTS.iter().copied().find(|start| *start > position).unwrap_or(CODES);
            } else {
                match runs.last_mut() {
                    Some((first, last)) if !first.is_section() && last.0 + 1 == code.0 => *last = code,
                    _ => runs.push((code, code)),
                }
                position += 1;
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_21_sections_and_88_divisions_and_every_code_comes_back() {
        assert_eq!(CODES, 21 + 88);
        for position in 0..CODES {
            let code = SectorCode::at(position);
            assert_eq!(code.position(), Some(position));
            assert_eq!(SectorCode::parse(&code.to_string()), Some(code));
        }
        for wrong in ["", "V", "a", "A00", "A04", "C1", "C010", "Ä"] {
            assert_eq!(SectorCode::parse(wrong), None, "{wrong}");
        }
        assert_eq!(SectorCode(0x0001_4100).position(), None, "a letter is one byte");
    }

    #[test]
    fn a_section_stands_for_its_divisions_and_a_division_for_itself() {
        let mut set = SectorSet::default();
        for code in ["A", "C10", "C11", "C12", "D35"] {
            set.insert(SectorCode::parse(code).expect("of the list"));
        }
        let has = |code| set.contains(SectorCode::parse(code).and_then(SectorCode::position).expect("of the list"));
        assert!(has("A") && has("A02") && has("C11") && has("D35"));
        assert!(!has("C") && !has("C13") && !has("B"));
        assert!(!has("D"), "all divisions of a section are not the section");
        let runs: Vec<_> = set.runs().iter().map(|(first, last)| format!("{first}..{last}")).collect();
        assert_eq!(runs, ["A..A", "C10..C12", "D35..D35"]);
        assert_eq!(SectorSet::from_bits(set.bits()), Some(set));
        assert_eq!(SectorSet::from_bits(1), None, "section A without its divisions");
        assert_eq!(SectorSet::from_bits(1 << CODES), None);
        assert_eq!(SectorSet::from_bits(SectorSet::ALL.bits()), Some(SectorSet::ALL));
    }
}
