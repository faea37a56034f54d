//! What is on a disk in memory: in pieces, so that a disk grows without being copied, and is copied without being read.

use std::sync::Arc;

/// Bytes of one piece: a page of redb, so that most writes give a piece away instead of copying into one.
const PIECE: usize = 4 << 10;

type Piece = [u8; PIECE];

/// The bytes of a disk. Copies share what neither has changed.
#[derive(Clone, Default)]
pub struct Image {
    length: usize,
    /// Pieces that were never written to are zero, and not there.
    pieces: Vec<Option<Arc<Piece>>>,
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Image {
        let mut image = Image::default();
        image.write(0, &bytes);
        image
    }
}

impl Image {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All of it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.read(0, &mut bytes);
        bytes
    }

    /// Gives it another length; what is added is zero.
    pub fn resize(&mut self, length: usize) {
        self.pieces.resize(length.div_ceil(PIECE), None);
        let rest = length % PIECE;
        if length < self.length
            && rest > 0
            && let Some(Some(last)) = self.pieces.last_mut()
        {
            Arc::make_mut(last)[rest..].fill(0);
        }
        self.length = length;
    }

    /// Writes at an offset. What lies past the end extends it, as a file system does.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if self.length < offset + bytes.len() {
            self.resize(offset + bytes.len());
        }
        let (mut at, mut bytes) = (offset, bytes);
        while !bytes.is_empty() {
            let (start, here) = (at % PIECE, bytes.len().min(PIECE - at % PIECE));
            let piece = self.pieces[at / PIECE].get_or_insert_with(|| Arc::new([0; PIECE]));
            Arc::make_mut(piece)[start..start + here].copy_from_slice(&bytes[..here]);
            (at, bytes) = (at + here, &bytes[here..]);
        }
    }

    /// The same, of bytes that others hold too: a whole piece is not copied.
    pub fn put(&mut self, offset: usize, bytes: &Arc<[u8]>) {
        match Arc::<Piece>::try_from(Arc::clone(bytes)) {
            Ok(piece) if offset.is_multiple_of(PIECE) => {
                if self.length < offset + PIECE {
                    self.resize(offset + PIECE);
                }
                self.pieces[offset / PIECE] = Some(piece);
            }
            _ => self.write(offset, bytes),
        }
    }

    /// Reads at an offset; whether all of it lies within the image.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> bool {
        if offset.checked_add(out.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        let (mut at, mut out) = (offset, out);
        while !out.is_empty() {
            let (start, here) = (at % PIECE, out.len().min(PIECE - at % PIECE));
            let (now, later) = out.split_at_mut(here);
            match &self.pieces[at / PIECE] {
                Some(piece) => now.copy_from_slice(&piece[start..start + here]),
                None => now.fill(0),
            }
            (at, out) = (at + here, later);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain vector, at the edges of pieces.
    #[test]
    fn it_holds_what_a_vector_holds() {
        let (mut image, mut plain) = (Image::default(), Vec::new());
        let edges = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 5, 4 * PIECE];
        for (step, (offset, length)) in edges.iter().flat_map(|at| edges.map(|length| (*at, length))).enumerate() {
            let data = vec![step as u8 + 1; length];
            match step % 2 {
                0 => image.write(offset, &data),
                _ => image.put(offset, &data.clone().into()),
            }
            plain.resize(plain.len().max(offset + length), 0);
            plain[offset..offset + length].copy_from_slice(&data);
            let before = image.clone();
            for shorter in [offset, plain.len() / 2] {
                let full = plain.len();
                image.resize(shorter);
                plain.truncate(shorter);
                assert_eq!(image.to_vec(), plain);
                image.resize(full);
                plain.resize(full, 0);
                assert_eq!(image.to_vec(), plain, "what was cut off must not come back");
            }
            assert_eq!(before.len(), plain.len());
            assert_eq!(before.to_vec()[offset..offset + length], data, "a copy is left as it is");
        }
        assert!(!image.read(image.len() - 1, &mut [0; 2]));
        assert!(!image.read(usize::MAX, &mut [0; 2]));
    }
}
