from .parallelograms import SecondDifference
