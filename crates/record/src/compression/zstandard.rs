//! Reads zstd frames with contexts that are used again.
//!
//! A context takes longer to make than a small batch takes to decompress, so each thread keeps the one that it used last.
//! What must hold: a context is as good as new when it is taken, whatever was read with it before, and one that a large window has
//! made large is not kept.

use super::ZSTD_WINDOW_LOG_MAX;
use std::cell::Cell;
use std::io::{self, Read};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
use zstd::stream::zio::Reader;
use zstd::zstd_safe::{DCtx, DParameter, ResetDirective, WriteBuf, get_error_name};

/// A context as it is made has about 100 KiB, and its buffers for frames of up to 64 KiB as much again.
const KEPT_BYTES_MAX: usize = 512 * 1024;

thread_local! {
    static SPARE: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

/// Reads one frame.
pub struct Decoder<'a> {
    reader: Reader<&'a [u8], Context>,
}

struct Context(Option<DCtx<'static>>);

impl<'a> Decoder<'a> {
    pub fn new(input: &'a [u8]) -> io::Result<Decoder<'a>> {
        let mut reader = Reader::new(input, Context::take()?);
        reader.set_single_frame();
        Ok(Decoder { reader })
    }

    pub fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out)
    }

    /// What stands behind the frame, once it was read to its end.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.reader()
    }
}

impl Context {
    fn take() -> io::Result<Context> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut context = match spare {
            Some(spare) => spare,
            None => DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?,
        };
        context
            .reset(ResetDirective::SessionAndParameters)
            .and_then(|_| context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)))
            .map_err(as_io_error)?;
        Ok(Context(Some(context)))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(context) = self.0.take()
            && context.sizeof() <= KEPT_BYTES_MAX
        {
            // Without a place for it, on a thread that ends, it goes.
            let _ = SPARE.try_with(|spare| spare.set(Some(context)));
        }
    }
}

impl Operation for Context {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        let context = self.0.as_mut().expect("taken only when it is dropped");
        context
            .decompress_stream(output, input)
            .map_err(as_io_error)
    }

    fn finish<C: WriteBuf + ?Sized>(
        &mut self,
        _: &mut OutBuffer<'_, C>,
        finished_frame: bool,
    ) -> io::Result<usize> {
        if finished_frame {
            return Ok(0);
        }
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the frame has no end",
        ))
    }
}

fn as_io_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}
